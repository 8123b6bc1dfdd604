"""What `db copy` does."""

import datetime as dt

from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from text2song.cli import opening
from text2song.cli.answer import Answer
from text2song.db import copying
from text2song.db.copying import CopiedTable
from text2song.db.engine import open_engine
from text2song.db.urls import parse, place
from text2song.errors import Conflict
from text2song.jobs.columns import JobStatus, job_tables
from text2song.models.queries import ALIVE_SECONDS
from text2song.models.tables import ModelWorker
from text2song.studio import utc_now


def copy(answer: Answer, *, source_url: str, target_url: str) -> None:
    """Copy, and say what went over.

    Raises:
        InvalidSetting: for a URL that names no database.
        NotFound: when there is no source.
        Conflict: when the studio is at work, or the target holds rows.
        InvalidInput, DatabaseBusy, StorageFailed, StorageFull, SchemaTooOld, SchemaTooNew: see `db.copying`.
    """
    settings = opening.settings_for(answer, is_service=False)
    copying.require_there(parse(source_url, name="FROM"))
    source = open_engine(source_url, name="FROM")
    target = open_engine(target_url, name="TO")

    def tell(copied: CopiedTable) -> None:
        if not answer.is_json:
            answer.notice(f"{copied.name}: {copied.rows:,} rows")

    try:
        tables = copying.copy(
            source,
            target,
            backups=settings.home / "backups",
            now=utc_now(),
            require_quiet=require_quiet,
            watch=tell,
        )
    finally:
        source.dispose()
        target.dispose()
    document = {
        "from": place(source.url),
        "to": place(target.url),
        "tables": [{"name": each.name, "rows": each.rows, "sha256": each.sha256} for each in tables],
    }
    count = sum(each.rows for each in tables)
    text = (
        f"Copied {count:,} rows of {len(tables)} tables from {place(source.url)} to {place(target.url)}, and "
        "compared them. Now set TEXT2SONG_DATABASE_URL; the old database was not changed."
    )
    answer.give(document, text=text)


def require_quiet(source: Connection) -> None:
    """Check that nobody works on the studio of this database.

    Raises:
        Conflict: when a worker lives, or a job runs.
    """
    heard_of = utc_now() - dt.timedelta(seconds=ALIVE_SECONDS)
    with Session(source) as session:
        workers = session.scalars(
            select(ModelWorker.name).where(ModelWorker.left_at.is_(None), ModelWorker.heartbeat_at > heard_of)
        ).all()
        running = sum(
            len(session.scalars(select(table.id).where(table.status == JobStatus.RUNNING)).all())
            for table in job_tables()
        )
    if workers:
        raise Conflict(
            f"{', '.join(workers)} still serves this studio. Stop every `text2song serve` and `text2song "
            f"worker` first; one that was killed counts as gone after {ALIVE_SECONDS:.0f} seconds."
        )
    if running:
        raise Conflict(
            f"{running} jobs are running, or were when their worker was killed. Start the studio once, so "
            "that they end or wait again, and stop it in good order (Ctrl-C, or SIGTERM)."
        )
