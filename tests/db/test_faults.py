import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event, insert, text
from sqlalchemy.exc import IntegrityError, InternalError, OperationalError, ProgrammingError
from structlog.testing import capture_logs

from tests.db.disks import fill, forbid_writing, small_disk
from tests.studios import START
from text2song.blobs.memory import MemoryBlobs
from text2song.db import engine as engines
from text2song.db import schema
from text2song.db.engine import open_engine
from text2song.db.faults import explain
from text2song.errors import DatabaseBusy, DatabaseDamaged, StorageFailed, StorageFull, StudioError
from text2song.jobs.queue import SilentQueue
from text2song.settings import load_settings
from text2song.studio import Studio, Work
from text2song.users.tables import User


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.2)


def studio_at(folder: Path) -> Studio:
    """A studio whose database alone is in `folder`."""
    engine = open_engine(f"sqlite:///{folder / 'studio.db'}")
    schema.upgrade(engine, backups=folder, now=START)
    return Studio(engine, MemoryBlobs(), SilentQueue(), load_settings({}))


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Studio]:
    opened = studio_at(tmp_path)
    yield opened
    opened.engine.dispose()


def add(work: Work, name: str) -> None:
    work.session.add(User(name=name, created_at=START))
    work.session.flush()


def names(studio: Studio) -> list[str]:
    with studio.read() as reader:
        return list(reader.session.scalars(text("SELECT name FROM users ORDER BY name")))


def test_a_database_locked_by_another_program(here: Studio, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "studio.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseBusy, match=r"another program keeps .* Try again in a few seconds"):
            _add_one(here, "Ada")
        assert names(here) == []  # reading goes on
        other.execute("ROLLBACK")
    _add_one(here, "Ada")
    assert names(here) == ["Ada"]


def test_more_units_at_once_than_there_are_connections(here: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "THREAD_LIMIT", 1)
    monkeypatch.setattr(engines, "OVERFLOW", 0)
    narrow = replace(here, engine=open_engine(str(here.engine.url)))
    with narrow.read() as reader:
        reader.session.execute(text("SELECT 1"))
        with pytest.raises(DatabaseBusy, match=r"too much .* at once: try again"):
            names(narrow)
    assert names(narrow) == []
    narrow.engine.dispose()


def test_a_full_disk_loses_nothing_that_was_told_to_be_kept(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", megabytes=1) as disk:
        studio = studio_at(disk)
        _add_one(studio, "kept")
        filler = disk / "filler"
        fill(filler)
        with pytest.raises(StorageFull, match=r"disk .* is full.*free some space"):
            _add_many(studio)
        stored = names(studio)
        filler.unlink()
        _add_one(studio, "later")
        assert names(studio) == sorted([*stored, "later"])
        assert "kept" in stored
        with studio.read() as reader:
            assert reader.session.execute(text("PRAGMA integrity_check")).scalar() == "ok"
        studio.engine.dispose()


def test_a_disk_that_can_only_be_read(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", megabytes=1) as disk:
        studio = studio_at(disk)
        _add_one(studio, "Ada")
        studio.engine.dispose()
        forbid_writing(disk)
        with pytest.raises(StorageFailed, match=r"check .*owner and .*permissions"):
            _add_one(studio, "Bob")
        studio.engine.dispose()


@pytest.mark.parametrize("damage", [b"no database at all" * 100, b"SQLite format 3\0" + b"\7" * 9000])
def test_a_file_that_is_damaged(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "studio.db").write_bytes(damage)
    with pytest.raises(DatabaseDamaged, match=r"damaged, or no database at all .*Put a copy in its place"):
        studio_at(tmp_path)
    assert (tmp_path / "studio.db").read_bytes() == damage


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "studio.db").mkdir()
    with pytest.raises(StorageFailed, match=r"cannot be opened: check"):
        studio_at(tmp_path)


def test_faults_of_ours_stay_what_they_are(here: Studio) -> None:
    with pytest.raises(OperationalError, match="no such table"), here.read() as reader:
        reader.session.execute(text("SELECT * FROM absent"))
    _add_one(here, "Ada")
    with pytest.raises(IntegrityError):
        _add_one(here, "Ada")
    with pytest.raises(IntegrityError), here.work() as work:
        work.session.execute(insert(User).values(name=None))
    assert explain(ValueError("disk is full of locked files")) is None


def test_the_words_of_a_message_do_not_make_it_another_fault(here: Studio) -> None:
    """The kind of a fault is read from SQLite's code, not from words that a message may hold."""
    with here.engine.connect() as connection, pytest.raises(OperationalError) as error:
        connection.exec_driver_sql("SELECT * FROM locked_full_readonly")
    assert explain(error.value) is None


class DriverError(Exception):
    """As psycopg raises them: words that may name the server, and an SQLSTATE where it answered."""

    def __init__(self, sqlstate: str | None) -> None:
        super().__init__(f'connection to server at "10.0.0.7", port 5432 failed: {sqlstate}')
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("sqlstate", "meaning", "words"),
    [
        (None, StorageFailed, "cannot be reached"),
        ("57P01", StorageFailed, "cannot be reached"),
        ("28P01", StorageFailed, "user and password"),
        ("53100", StorageFull, "free some space"),
        ("53300", DatabaseBusy, "try again"),
        ("40P01", DatabaseBusy, "try again"),
    ],
)
def test_what_postgresql_says_goes_to_the_log_and_not_to_clients(
    sqlstate: str | None, meaning: type[StudioError], words: str
) -> None:
    with capture_logs() as logged:
        error = explain(OperationalError("SELECT 1", {}, DriverError(sqlstate)))
    assert type(error) is meaning
    assert words in error.message
    assert not {"10.0.0.7", "5432"} & set(re.findall(r"[0-9.]+[0-9]", error.message))
    assert [("10.0.0.7" in entry["error"], entry["sqlstate"]) for entry in logged] == [(True, sqlstate)]


def test_postgresql_refusals_are_known_whatever_class_the_driver_gives_them() -> None:
    error = explain(ProgrammingError("CREATE TABLE", {}, DriverError("42501")))
    assert isinstance(error, StorageFailed)
    standby = explain(InternalError("UPDATE", {}, DriverError("25006")))
    assert isinstance(standby, StorageFailed)
    assert "takes no writes" in standby.message
    assert explain(ProgrammingError("SELECT absent", {}, DriverError("42P01"))) is None


def test_a_unit_that_fails_gives_its_lock_back_at_once(here: Studio) -> None:
    held: list[bool] = []

    @event.listens_for(here.engine, "rollback")
    def note(_: object) -> None:
        held.append(True)

    with pytest.raises(ZeroDivisionError):
        _fail(here)
    assert held
    others = threading.Thread(target=_add_one, args=(here, "Bob"))
    others.start()
    others.join(10)
    assert names(here) == ["Bob"]


def _add_many(studio: Studio) -> None:
    for number in range(200):
        _add_one(studio, f"{number}{'.' * 80}")


def _add_one(studio: Studio, name: str) -> None:
    with studio.work() as work:
        add(work, name)


def _fail(studio: Studio) -> None:
    with studio.work() as work:
        add(work, "Ada")
        raise ZeroDivisionError
