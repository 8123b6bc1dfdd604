"""Rows that move from SQLite to PostgreSQL and back, and are the same."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, delete, func, make_url, select, text, update

from tests.adapters.shelf import add_adapter
from tests.databases import lent_database
from tests.jobs.workshop import submit
from tests.postgres import PostgreSQL
from tests.studios import START, noise_info
from text2song.blobs.memory import MemoryBlobs
from text2song.db import copying, postgresql, schema
from text2song.db.copying import CopiedTable, copy
from text2song.db.engine import open_engine
from text2song.db.registry import metadata
from text2song.errors import (
    Conflict,
    DatabaseBusy,
    InvalidInput,
    NotFound,
    SchemaTooOld,
    StorageFailed,
)
from text2song.generation.tables import GenerationJob, UsedSeconds
from text2song.jobs.queue import SilentQueue
from text2song.models import service as models
from text2song.models.tables import Model
from text2song.prompts.tables import Prompt
from text2song.settings import load_settings
from text2song.studio import Studio
from text2song.users.tables import User


@pytest.fixture(name="target")
def open_target(postgresql: PostgreSQL) -> Iterator[Engine]:
    """An empty database on a server."""
    with lent_database(postgresql, template="template0") as url:
        engine = open_engine(url)
        yield engine
        engine.dispose()


@pytest.fixture(name="filled")
def fill(studio: Studio) -> Studio:
    """A studio with rows of every kind, and with values that databases treat each in their own way."""
    submit(studio, *[{"turn_key": "a"}] * (copying.CHUNK_ROWS + 5))
    first, second = submit(studio, {}, {"progress": 1 / 3, "cost": 0.1, "stage": "café ☕ \U0001f3b5"})
    add_adapter(studio)
    with studio.work() as work:
        models.announce(work, noise_info(), worker="w", capacity=1)
        numbers = {"a": [1, 2.0, 1e22, -0.0]}
        work.session.execute(update(Model).values(vocabulary=numbers))
        models.announce(work, replace(noise_info(), id="other"), worker="w", capacity=1)
        # to a younger row: whichever is copied first, the other is not there yet
        work.session.execute(
            update(GenerationJob).where(GenerationJob.id == first).values(retry_of=second, claimed_at=START)
        )
        ada = User(name="A\u0301da '\"\\%", created_at=START.replace(microsecond=123456))
        work.session.add(ada)
        work.session.flush()
        work.session.add(UsedSeconds(user_id=ada.id, seconds=0.1 + 0.2, asked_at=START))
        deep = {"z": {"": None, "ä": [True, False]}, "a": 2**53, "f": 0.1}
        work.session.add(Prompt(text="\n", attributes=deep, words="", created_at=START))
    return studio


def moved(source: Engine, target: Engine, *, told: list[CopiedTable] | None = None) -> list[CopiedTable]:
    return copy(
        source,
        target,
        backups=Path("nowhere"),
        now=START,
        require_quiet=lambda _: None,
        watch=(told if told is not None else []).append,
    )


def counts(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar() or 0
            for table in metadata().sorted_tables
        }


def rows(engine: Engine, table: str) -> list[dict[str, object]]:
    with engine.connect() as connection:
        found = connection.execute(select(metadata().tables[table]).order_by(text("id")))
        return [dict(row) for row in found.mappings()]


def test_all_rows_go_there_and_back_and_stay_the_same(filled: Studio, target: Engine, tmp_path: Path) -> None:
    told: list[CopiedTable] = []
    there = moved(filled.engine, target, told=told)
    assert told == there
    assert {each.name: each.rows for each in there} == counts(filled.engine) == counts(target)
    assert counts(target)["generation_jobs"] == copying.CHUNK_ROWS + 7
    back = open_engine(f"sqlite:///{tmp_path / 'back.db'}")
    assert moved(target, back) == there
    for table in metadata().tables:
        assert rows(back, table) == rows(filled.engine, table) == rows(target, table), table
    with back.connect() as connection:
        assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
        assert connection.execute(text("SELECT count(*) FROM models WHERE vocabulary IS NULL")).scalar() == 1
    back.dispose()
    schema.require_current(target)
    studio = Studio(target, MemoryBlobs(), SilentQueue(), load_settings({}))
    assert submit(studio, {})  # and work goes on there


def test_a_database_that_holds_rows_is_left_alone(filled: Studio, target: Engine) -> None:
    moved(filled.engine, target)
    before = rows(target, "users")
    with pytest.raises(Conflict, match=r"holds rows already.*copy into an empty one"):
        moved(filled.engine, target)
    with pytest.raises(Conflict):
        moved(filled.engine, filled.engine)
    assert rows(target, "users") == before


def test_whatever_fails_nothing_is_kept(
    filled: Studio, target: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = copying._require_equal

    def spoil(table: object, copied: CopiedTable, connection: Connection) -> None:
        if copied.name == "users":
            connection.execute(update(User).values(name="somebody else"))
        plain(table, copied, connection)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(copying, "_require_equal", spoil)
    with pytest.raises(StorageFailed, match="users is not the same in the new database"):
        moved(filled.engine, target)
    assert set(counts(target).values()) == {0}
    monkeypatch.setattr(copying, "_require_equal", plain)
    moved(filled.engine, target)
    assert counts(target) == counts(filled.engine)


def test_a_row_that_got_lost_is_noticed(
    filled: Studio, target: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = copying._require_equal

    def lose(table: object, copied: CopiedTable, connection: Connection) -> None:
        if copied.name == "used_seconds":
            connection.execute(delete(UsedSeconds))
        plain(table, copied, connection)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(copying, "_require_equal", lose)
    with pytest.raises(StorageFailed, match="0 rows of 1"):
        moved(filled.engine, target)


def test_what_the_target_cannot_keep_is_named_with_its_table(filled: Studio, target: Engine) -> None:
    with filled.work() as work:
        work.session.execute(update(Prompt).values(text="a\0b"))
    with pytest.raises(InvalidInput, match=r"a row of prompts cannot be copied: .*U\+0000"):
        moved(filled.engine, target)
    assert set(counts(target).values()) == {0}


def test_a_source_of_another_version_or_none_is_told(studio: Studio, target: Engine, tmp_path: Path) -> None:
    with pytest.raises(SchemaTooOld):
        moved(target, studio.engine)
    with pytest.raises(NotFound, match=r"no database at .*absent\.db"):
        copying.require_there(make_url(f"sqlite:///{tmp_path / 'absent.db'}"))
    copying.require_there(studio.engine.url)
    copying.require_there(target.url)


@pytest.mark.databases("sqlite", "postgresql")
def test_nobody_writes_to_the_source_meanwhile(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("text2song.db.engine.BUSY_SECONDS", 0.1)
    monkeypatch.setattr(postgresql, "LOCK_SECONDS", 0.1)
    submit(studio, {})
    other = replace(studio, engine=open_engine(studio.settings.database))
    refused: list[Exception] = []

    def write(_: Connection) -> None:
        with other.read() as reader:  # reading goes on
            assert reader.session.scalars(select(GenerationJob.status)).one() == "queued"
        try:
            submit(other, {})
        except DatabaseBusy as error:
            refused.append(error)

    target = open_engine(f"sqlite:///{tmp_path / 'new.db'}")
    copied = copy(studio.engine, target, backups=tmp_path, now=START, require_quiet=write)
    assert len(refused) == 1
    assert next(each.rows for each in copied if each.name == "generation_jobs") == 1
    submit(other, {})
    for engine in (target, other.engine):
        engine.dispose()
