"""The migration that brings people: what was there before it keeps every row, on both databases."""

import datetime as dt
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import IntegrityError

from tests.databases import POSTGRESQL, SQLITE, lent_database
from tests.studios import START
from text2song.blobs.memory import MemoryBlobs
from text2song.db import schema
from text2song.db.engine import WRITES_OPTION, open_engine
from text2song.jobs.queue import SilentQueue
from text2song.settings import load_settings
from text2song.studio import Studio
from text2song.users import queries
from text2song.users.tables import User, fold

pytestmark = pytest.mark.databases(SQLITE, POSTGRESQL)
ADA, PROMPT, JOB, RETRY, SAMPLE = (uuid.UUID(int=number) for number in range(5))


@pytest.fixture
def engine(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Of a database without tables."""
    with ExitStack() as until_the_end:
        url = f"sqlite:///{tmp_path / 'studio.db'}"
        if database_kind == POSTGRESQL:
            server = request.getfixturevalue("postgresql")
            url = until_the_end.enter_context(lent_database(server, template="template0"))
        opened = open_engine(url)
        yield opened
        opened.dispose()


def migrate(engine: Engine, *, to: str) -> None:
    """As `schema.upgrade` does it, but to any revision, and back."""
    config = schema._config()
    with schema.migrating(engine) as connection:
        config.attributes["connection"] = connection
        known = schema.current(connection)
        (command.downgrade if known and to < known else command.upgrade)(config, to)
        schema.require_whole(connection)


def run(engine: Engine, *statements: str) -> None:
    with engine.execution_options(**{WRITES_OPTION: True}).begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def fill(engine: Engine) -> None:
    """A row in every table that the migration touches, and one that points there, as they were written."""
    with engine.execution_options(**{WRITES_OPTION: True}).begin() as connection:
        for table, columns in BEFORE:
            names, places = ", ".join(columns), ", ".join(f":{name}" for name in columns)
            statement = text(f"INSERT INTO {table} ({names}) VALUES ({places})")  # noqa: S608  # ours
            is_sqlite = connection.dialect.name == "sqlite"
            stored = {name: as_sqlite_stores(value) for name, value in columns.items()}
            connection.execute(statement, stored if is_sqlite else columns)


def as_sqlite_stores(value: object) -> object:
    if isinstance(value, uuid.UUID):
        return value.hex
    return value.replace(tzinfo=None).isoformat(" ") if isinstance(value, dt.datetime) else value


JOB_BEFORE = {
    "prompt_id": PROMPT,
    "sentence": "x",
    "model": "m",
    "num_samples": 1,
    "frames_total": 50,
    "sides": "[]",
    "generation_params": "{}",
    "status": "failed",
    "priority": 0,
    "turn_key": "",
    "rows": 1,
    "cost": 1.0,
    "sequence": 1,
    "progress": 0.0,
    "stage": "done",
    "attempts": 1,
    "failures": 0,
    "lost_leases": 0,
    "created_at": START,
}
SAMPLE_BEFORE = {
    "id": SAMPLE,
    "prompt_id": PROMPT,
    "user_id": ADA,
    "storage_path": "a",
    "sha256": "a",
    "size_bytes": 1,
    "duration_seconds": 1.0,
    "sample_rate": 32_000,
    "channels": 1,
    "peaks_path": "p",
    "codes_path": "c",
    "codes_sha256": "c",
    "sentence": "x",
    "model": "m",
    "generation_params": "{}",
    "provenance": "{}",
    "created_at": START,
}
TAKE_BEFORE = {
    "id": JOB,
    "job_id": JOB,
    "take": 0,
    "side": 0,
    "status": "succeeded",
    "seed": 7,
    "spec": "{}",
    "audio_id": SAMPLE,
}
WORDS_BEFORE = {"text": "x", "attributes": "{}", "words": "x", "created_at": START, "user_id": ADA}
BEFORE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("users", {"id": ADA, "name": "Ada", "created_at": START}),
    ("prompts", {"id": PROMPT, **WORDS_BEFORE}),
    ("generation_jobs", {"id": JOB, "user_id": ADA, **JOB_BEFORE}),
    ("generation_jobs", {"id": RETRY, "retry_of": JOB, **JOB_BEFORE}),
    ("audio_samples", SAMPLE_BEFORE),
    ("generation_takes", TAKE_BEFORE),
)
FOLLOWING = ("prompts", "generation_jobs", "audio_samples")
COUNTS = {"users": 1, "prompts": 1, "generation_jobs": 2, "audio_samples": 1, "generation_takes": 1}


def counts(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        return {
            table: connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()  # noqa: S608  # ours
            for table in COUNTS
        }


def seen_by(engine: Engine) -> dict[str, set[str]]:
    with engine.connect() as connection:
        return {
            table: set(connection.execute(text(f"SELECT visibility FROM {table}")).scalars())  # noqa: S608  # ours
            for table in FOLLOWING
        }


@pytest.fixture(name="migrated")
def migrate_what_was_there(engine: Engine) -> Engine:
    migrate(engine, to="0001")
    fill(engine)
    migrate(engine, to="0002")
    return engine


def test_what_was_there_stays_private_and_its_people_create(migrated: Engine) -> None:
    assert counts(migrated) == COUNTS
    assert seen_by(migrated) == {table: {"private"} for table in FOLLOWING}
    with migrated.connect() as connection:
        user = connection.execute(text("SELECT role, is_expert, deactivated_at FROM users")).one()
    assert (user.role, bool(user.is_expert), user.deactivated_at) == ("creator", False, None)


def test_jobs_and_takes_follow_their_prompt_and_cannot_leave_it(migrated: Engine) -> None:
    run(migrated, "UPDATE prompts SET visibility = 'shared'")
    assert seen_by(migrated) == {table: {"shared"} for table in FOLLOWING}
    for table in ("generation_jobs", "audio_samples"):
        with pytest.raises(IntegrityError):
            run(migrated, f"UPDATE {table} SET visibility = 'private'")  # noqa: S608  # ours


def test_a_job_still_goes_with_its_prompt_and_a_take_still_holds_it(migrated: Engine) -> None:
    with pytest.raises(IntegrityError):
        run(migrated, "DELETE FROM prompts")
    run(migrated, "DELETE FROM audio_samples")
    with migrated.connect() as connection:  # the take lost its sample, and not its row
        assert connection.execute(text("SELECT audio_id FROM generation_takes")).scalars().all() == [None]
    run(migrated, "DELETE FROM generation_jobs WHERE retry_of IS NULL")
    with migrated.connect() as connection:
        assert connection.execute(text("SELECT retry_of FROM generation_jobs")).scalars().all() == [None]
    run(migrated, "DELETE FROM prompts")
    assert counts(migrated)["generation_jobs"] == 0


def test_a_program_of_the_version_before_still_writes(migrated: Engine) -> None:
    run(
        migrated,
        "DELETE FROM generation_takes",
        "DELETE FROM audio_samples",
        "DELETE FROM prompts",
        "DELETE FROM users",
    )
    fill(migrated)
    assert counts(migrated) == COUNTS


def test_the_way_back_loses_no_row_either(migrated: Engine) -> None:
    migrate(migrated, to="0001")
    assert counts(migrated) == COUNTS
    run(migrated, "DELETE FROM generation_takes", "DELETE FROM audio_samples", "DELETE FROM prompts")
    assert counts(migrated)["generation_jobs"] == 0


BOB, CLEO = uuid.UUID(int=7), uuid.UUID(int=8)
INSERT_USER = "INSERT INTO users (id, name, created_at) VALUES ('{id}', '{name}', '2026-01-01 12:00:00')"


def add_users_as_before(engine: Engine, *people: tuple[uuid.UUID, str]) -> None:
    run(engine, *(INSERT_USER.format(id=user_id.hex, name=name) for user_id, name in people))


def name_found(engine: Engine, name: str) -> str | None:
    studio = Studio(engine, MemoryBlobs(), SilentQueue(), load_settings({}))
    with studio.read() as reader:
        found = queries.named(reader, name)
        return found.name if found else None


def test_two_who_differ_in_case_stay_two_and_no_third_comes(engine: Engine) -> None:
    migrate(engine, to="0004")
    add_users_as_before(engine, (BOB, "ZOË"), (ADA, "Zoë"), (CLEO, "Strauß"))
    migrate(engine, to="head")
    with engine.connect() as connection:
        folded = {row.id: row.folded_name for row in connection.execute(select(User.id, User.folded_name))}
    assert folded == {ADA: fold("Zoë"), BOB: None, CLEO: fold("Strauß")}
    for name, found in (("Zoë", "Zoë"), ("ZOË", "ZOË"), ("zoë", "Zoë"), ("STRAUSS", "Strauß")):
        assert name_found(engine, name) == found
    migrate(engine, to="0004")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM users")).scalar_one() == 3


def test_whom_a_program_of_the_version_before_has_added_is_found_too(engine: Engine) -> None:
    migrate(engine, to="head")
    add_users_as_before(engine, (ADA, "Zoë"), (BOB, "Strauß"))
    assert name_found(engine, "ZOË") == "Zoë"
    assert name_found(engine, "Zoe") is None
