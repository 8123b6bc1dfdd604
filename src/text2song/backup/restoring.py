"""Putting a studio back: everything is checked before anything is touched.

Bytes come first: they have names of their own, so they harm nobody. The rows follow in one transaction,
which a killed process leaves undone. So at any moment the studio is the old one or the new one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from text2song.backup import checking
from text2song.backup.copying import Fate, Watch, copy_all, copy_blob, heal_blob
from text2song.backup.folder import BackupFolder, Snapshot
from text2song.backup.rows import fill_table
from text2song.backup.taking import take
from text2song.db import registry, schema
from text2song.db.faults import faults_explained
from text2song.errors import Conflict, SchemaTooNew
from text2song.jobs import lifecycle
from text2song.jobs.columns import JobStatus, job_tables
from text2song.models import queries as models
from text2song.studio import Studio

log = structlog.get_logger(__name__)

REVISIONS_TABLE: Final = "alembic_version"
_FOREIGN_KEYS: Final = sa.text(
    "SELECT conrelid::regclass::text AS owner, quote_ident(conname) AS name,"
    " pg_get_constraintdef(oid) AS definition"
    " FROM pg_constraint WHERE contype = 'f' AND connamespace = current_schema()::regnamespace"
)


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did."""

    snapshot: Snapshot
    rows: int
    requeued: int
    """Jobs that were running when the snapshot was taken, and wait again."""
    lost: int
    """Blobs that the studio had lost before it was backed up."""
    aside: Path | None
    """The backup of the studio that was replaced."""


def restore(
    studio: Studio,
    folder: BackupFolder,
    *,
    name: str | None = None,
    aside: Path | None = None,
    watch: Watch = lambda _: None,
) -> Restored:
    """Make `studio` what it was; its database may be empty or not there yet.

    A studio that holds anything is replaced only where `aside` names a folder for a backup of it.

    Raises:
        BackupDamaged: a file of the snapshot is not as it was written; nothing was touched.
        SchemaTooNew: a newer version took the snapshot, or made the studio that is to be replaced.
        Conflict: the studio holds something, or a worker of it is alive.
        StorageFull, StorageFailed: the studio is what it was.
    """
    with folder.reading():
        snapshot = folder.find(name)
        _require_known_schema(snapshot)
        checking.require_whole(checking.check(folder, (snapshot,), watch=watch), folder=folder)
        is_empty = _is_empty(studio)
        if not is_empty:
            _require_at_rest(studio)
            _keep_aside(studio, aside, watch=watch)
        scratch, source = studio.settings.home, folder.blobs
        keys = snapshot.folder / snapshot.manifest.blobs.name

        def heal(key: str) -> Fate:
            return heal_blob(key, source=source, target=studio.blobs, scratch=scratch)

        def copy(key: str) -> Fate:
            return copy_blob(key, source=source, target=studio.blobs, scratch=scratch)

        copy_all(keys, heal, watch=watch)
        rows, requeued = _fill(studio, snapshot, must_be_empty=is_empty)
        copy_all(keys, copy, watch=watch)  # what a worker's search for orphans took away meanwhile
    return Restored(snapshot, rows, requeued, len(snapshot.manifest.lost), None if is_empty else aside)


def _require_known_schema(snapshot: Snapshot) -> None:
    if not schema.is_known(snapshot.manifest.schema):
        raise SchemaTooNew(
            f"a newer version of the studio ({snapshot.manifest.text2song}) took this snapshot (schema "
            f"{snapshot.manifest.schema}): install that version, then restore. Nothing was changed."
        )


def _is_empty(studio: Studio) -> bool:
    """Whether no table holds a row.

    Raises:
        SchemaTooNew, SchemaTooOld: tables are there that are not of this version.
    """
    tables = registry.metadata().sorted_tables
    with faults_explained(), studio.engine.connect() as connection:
        present = set(sa.inspect(connection).get_table_names())
        if not present & {REVISIONS_TABLE, *(table.name for table in tables)}:
            return True
    schema.require_current(studio.engine)
    with studio.read() as reader:
        return not any(
            reader.session.scalar(sa.select(sa.literal(1)).select_from(t).limit(1)) for t in tables
        )


def _require_at_rest(studio: Studio) -> None:
    with studio.read() as reader:
        names = [worker.name for found in models.alive_workers(reader).values() for worker in found]
    if names:
        raise Conflict(
            f"the studio works at this moment (worker {', '.join(sorted(names))}): stop it first. One that "
            f"was killed counts as dead after {models.ALIVE_SECONDS:g} seconds."
        )


def _keep_aside(studio: Studio, aside: Path | None, *, watch: Watch) -> None:
    if aside is None:
        raise Conflict(
            "this studio is not empty, so nothing was changed. `--replace` puts the backup in its place and "
            "keeps a backup of what is here now."
        )
    kept = take(studio, BackupFolder(aside), may_link=True, watch=watch)
    log.info("the studio that is replaced was backed up", folder=str(aside), snapshot=kept.snapshot.name)


def _fill(studio: Studio, snapshot: Snapshot, *, must_be_empty: bool) -> tuple[int, int]:
    """Replace the database, all of it or nothing; answers rows and jobs that wait again."""
    tables = registry.metadata()
    with faults_explained(), schema.migrating(studio.engine) as connection:
        if must_be_empty:
            _require_still_empty(connection)
        tables.drop_all(connection)
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {REVISIONS_TABLE}")
        schema.migrate(connection, revision=snapshot.manifest.schema)
        with _unordered(connection):
            rows = sum(fill_table(connection, saved, snapshot.folder) for saved in snapshot.manifest.tables)
        schema.migrate(connection)
        schema.require_whole(connection)
        return rows, _requeue(connection)


def _require_still_empty(connection: sa.Connection) -> None:
    """The bytes may have taken hours: meanwhile a server may have begun here, or another restore."""
    present = set(sa.inspect(connection).get_table_names())
    tables = [table for table in registry.metadata().sorted_tables if table.name in present]
    if tables and connection.dialect.name == "postgresql":
        named = ", ".join(f'"{table.name}"' for table in tables)
        connection.exec_driver_sql(f"LOCK TABLE {named} IN ACCESS EXCLUSIVE MODE")
    if any(connection.scalar(sa.select(sa.literal(1)).select_from(table).limit(1)) for table in tables):
        raise Conflict(
            "somebody has filled this studio while the bytes were copied, and its rows stay as they are: "
            "stop every server of it, then restore again with `--replace`."
        )


@contextmanager
def _unordered(connection: sa.Connection) -> Iterator[None]:
    """Rows may come before those that they point to: tables point in circles, and jobs to each other.

    On SQLite foreign keys are off in a migration anyway, and all are checked at its end.
    """
    if connection.dialect.name != "postgresql":
        yield
        return
    keys = connection.execute(_FOREIGN_KEYS).all()
    for key in keys:
        connection.exec_driver_sql(f"ALTER TABLE {key.owner} DROP CONSTRAINT {key.name}")
    yield
    for key in keys:
        connection.exec_driver_sql(f"ALTER TABLE {key.owner} ADD CONSTRAINT {key.name} {key.definition}")


def _requeue(connection: sa.Connection) -> int:
    """Jobs that were running have no worker any more: they wait as if they had never been claimed."""
    requeued = 0
    with Session(connection, join_transaction_mode="rollback_only") as session:
        for table in job_tables():
            running = sa.select(table.id, table.claim_token).where(
                table.status == JobStatus.RUNNING, table.claim_token.is_not(None)
            )
            for job in session.execute(running).all():
                lifecycle.release(session, table, lifecycle.Claim(job.id, job.claim_token))
                requeued += 1
    return requeued
