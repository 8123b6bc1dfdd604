"""A studio with something in every table, for tests of what must come back."""

import datetime as dt
import uuid
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.audio.samples import delete, make_sample
from tests.rows import add_prompt, job_of
from tests.studios import START, noise_info
from text2song.adapters.tables import Adapter
from text2song.db import registry
from text2song.db.base import new_id
from text2song.generation.tables import GenerationJob, GenerationTake, UsedSeconds
from text2song.jobs.columns import JobStatus
from text2song.jobs.queue import SilentQueue
from text2song.models import service as models
from text2song.models.tables import Model
from text2song.settings import load_settings
from text2song.studio import Studio, Work, open_studio
from text2song.users.tables import ApiKey, AuditEntry, LoginIdentity, LoginSession, User

Rows = dict[str, list[dict[str, Any]]]
TOKEN = uuid.UUID(int=7)


def fill(studio: Studio) -> GenerationJob:
    """Put something into every table; answers a job that is running."""
    sample = make_sample(studio)
    delete(studio, make_sample(studio, seed=1))
    with studio.work() as work:
        # Of long ago, so that no worker counts as alive
        models.leave(work, models.announce(work, noise_info(), worker="host:1", capacity=4))
        _add_person(work)
        work.session.add(
            Adapter(
                name="warm",
                version="1.2.0",
                base_model="m",
                storage_path=sample.storage_path,
                digest="d" * 64,
                training_dataset_id=uuid.UUID(int=3),
                training_config={"rate": 1e-05, "one": 1.0, "ranks": [1, None, "é"], "on": True},
                created_at=START + dt.timedelta(microseconds=1),
                is_active=True,
            )
        )
        for n in range(3):
            work.session.add(GenerationTake(**_take(work.session, n, audio_id=sample.id if n == 0 else None)))
        prompt_id = add_prompt(work.session)
        early, late = sorted([new_id(), new_id()])
        # The earlier id points to the later one: clocks of two machines differ
        work.session.add(job_of(prompt_id, id=late, status=JobStatus.FAILED, error_message="no", attempts=3))
        work.session.flush()
        running = job_of(
            prompt_id,
            id=early,
            retry_of=late,
            status=JobStatus.RUNNING,
            attempts=1,
            claim_token=TOKEN,
            claimed_by="host:1",
            claimed_at=START,
            lease_renewed_at=START,
            lease_expires_at=START + dt.timedelta(seconds=15),
        )
        work.session.add(running)
    return running


def _add_person(work: Work) -> None:
    """Somebody with a key, a session, an account elsewhere, and an act that was written down."""
    zoe = User(name="Zoë 🎵 \u2028 \\ \"q\" 'r'\n\t", created_at=START)
    work.session.add(zoe)
    work.session.flush()
    zoes: dict[str, Any] = {"user_id": zoe.id, "created_at": START}
    key = ApiKey(name="render", digest="a" * 64, first_letters="t2s_9Qb3xY2m", scopes=["read"], **zoes)
    work.session.add(key)
    work.session.flush()
    ends = START + dt.timedelta(days=14)
    work.session.add_all(
        [
            LoginSession(key_id=key.id, digest="b" * 64, expires_at=ends, **zoes),
            UsedSeconds(id=uuid.UUID(int=9), user_id=zoe.id, seconds=0.1 + 0.2, asked_at=START),
            LoginIdentity(issuer="https://login.example.org", subject="0007", **zoes),
            AuditEntry(
                created_at=START,
                act="key.create",
                subject_kind="key",
                subject_id=key.id,
                details={"scopes": ["read"]},
            ),
        ]
    )


def _take(session: Any, number: int, *, audio_id: uuid.UUID | None) -> dict[str, Any]:  # noqa: ANN401
    job = job_of(add_prompt(session), priority=number - 1, cost=0.1 + 0.2)
    session.add(job)
    session.flush()
    return {"job_id": job.id, "take": 0, "side": 0, "seed": 2**53 + number, "spec": {}, "audio_id": audio_id}


def everything(studio: Studio) -> Rows:
    """Every row of every table, with what the database itself calls NULL."""
    rows: Rows = {}
    with studio.read() as reader:
        for table in registry.metadata().sorted_tables:
            nulls = [column.is_(sa.null()).label(f"{column.name} IS NULL") for column in table.columns]
            query = sa.select(*table.columns, *nulls).order_by(*table.primary_key.columns)
            rows[table.name] = [dict(row) for row in reader.session.execute(query).mappings()]
    return rows


def blobs_of(studio: Studio) -> dict[str, bytes]:
    """Every stored byte, by key."""
    folders = ("audio", "codes", "peaks")
    return {
        stat.key: studio.blobs.read(stat.key, verify=True)
        for folder in folders
        for stat in studio.blobs.list(folder)
    }


def empty_studio(home: Path) -> Studio:
    """A studio whose database is not there yet, with the wall clock."""
    return open_studio(load_settings({"TEXT2SONG_HOME": str(home)}), queue=SilentQueue())


def with_null_vocabularies(studio: Studio) -> None:
    """Two models: one whose vocabulary is SQL's NULL, one where it is JSON's null."""
    with studio.work() as work:
        first = work.session.scalars(sa.select(Model)).one()
        columns = {c.name: getattr(first, c.name) for c in Model.__table__.columns}
        for name, value in (("sql", sa.null()), ("json", sa.JSON.NULL)):
            values = columns | {"id": new_id(), "name": name, "vocabulary": value}
            work.session.execute(sa.insert(Model).values(values))
