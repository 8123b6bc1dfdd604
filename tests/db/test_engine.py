import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, Executable, delete, insert, select, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from tests.figures import RecordFigure
from tests.studios import START
from text2song.db import schema
from text2song.db.engine import (
    OVERFLOW,
    THREAD_LIMIT,
    WRITES_OPTION,
    open_engine,
    read_session,
    write_session,
)
from text2song.db.registry import metadata
from text2song.errors import InvalidSetting, MissingPart, StorageFailed
from text2song.studio import Studio
from text2song.users.tables import User


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_engine(f"sqlite:///{tmp_path / 'deep' / 'folder' / 'studio.db'}")
    schema.upgrade(opened, backups=tmp_path, now=START)
    yield opened
    opened.dispose()


def users(engine: Engine) -> int:
    with read_session(engine) as session:
        return len(session.scalars(select(User)).all())


def test_the_folder_is_made_and_sqlite_is_prepared(engine: Engine, tmp_path: Path) -> None:
    assert (tmp_path / "deep" / "folder" / "studio.db").is_file()
    with engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2, "busy_timeout": 5000}


def test_every_thread_of_the_server_can_have_a_connection(engine: Engine) -> None:
    held = [engine.connect() for _ in range(THREAD_LIMIT + OVERFLOW)]
    for connection in held:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
        connection.close()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "is not a database URL"),
        ("studio.db", "is not a database URL"),
        ("postgresql+psycopg://host:port/studio", "is not a database URL"),
        ("mysql://host/studio", "begins with mysql://"),
        ("sqlite+aiosqlite:///studio.db", "begins with sqlite+aiosqlite://"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("sqlite:///file:studio.db?mode=ro&uri=true", "must name a file"),
    ],
)
def test_a_url_that_cannot_serve_is_refused(url: str, reason: str) -> None:
    with pytest.raises(InvalidSetting) as error:
        open_engine(url)
    assert error.value.message.startswith("TEXT2SONG_DATABASE_URL ")
    assert reason in error.value.message
    assert error.value.field == "TEXT2SONG_DATABASE_URL"


def test_the_missing_driver_of_postgresql_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)  # as if it were not installed
    with pytest.raises(MissingPart, match=r"`make setup`, or install your wheel with \[postgres\]"):
        open_engine("postgresql+psycopg://host/studio")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageFailed, match=r"cannot be made .*: choose another TEXT2SONG_DATABASE_URL"):
        open_engine(f"sqlite:///{tmp_path / 'file' / 'folder' / 'studio.db'}")


def test_what_is_written_is_there_for_the_next_reader(engine: Engine) -> None:
    with write_session(engine) as session, session.begin():
        session.add(User(name="Ada", created_at=START))
    assert users(engine) == 1


def add(session: Session) -> None:
    session.add(User(name="Ada", created_at=START))


def add_and_flush(session: Session) -> None:
    add(session)
    session.flush()


def add_and_commit(session: Session) -> None:
    add(session)
    session.commit()


def add_and_look(session: Session) -> None:
    add(session)
    session.scalars(select(User)).all()  # flushes first


def remove(session: Session) -> None:
    session.delete(session.scalars(select(User)).one())
    session.flush()


def change(session: Session) -> None:
    session.scalars(select(User)).one().name = "Eve"
    session.flush()


def execute(statement: Executable) -> Callable[[Session], None]:
    def write(session: Session) -> None:
        session.execute(statement)

    return write


WRITES: dict[str, Callable[[Session], None]] = {
    "add and flush": add_and_flush,
    "add and commit": add_and_commit,
    "add and look": add_and_look,
    "remove": remove,
    "change": change,
    "insert": execute(insert(User).values(name="Ada", created_at=START)),
    "update": execute(update(User).values(name="Eve")),
    "delete": execute(delete(User)),
    "core insert": execute(insert(metadata().tables["users"]).values(name="Ada", created_at=START)),
    "core update": execute(update(metadata().tables["users"]).values(name="Eve")),
    "core delete": execute(delete(metadata().tables["users"])),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_reader_cannot_write(engine: Engine, write: Callable[[Session], object]) -> None:
    with write_session(engine) as session, session.begin():
        session.add(User(name="Bob", created_at=START))
    with read_session(engine) as session, pytest.raises(RuntimeError, match="a Reader may not write"):
        write(session)
    with read_session(engine) as session:
        assert session.scalars(select(User.name)).all() == ["Bob"]


@pytest.mark.parametrize(
    "statement", ["DELETE FROM users", "UPDATE users SET name = 'Eve'", "DROP TABLE users"]
)
def test_sqlite_itself_refuses_what_a_reader_writes_past_the_orm(engine: Engine, statement: str) -> None:
    with write_session(engine) as session, session.begin():
        session.add(User(name="Bob", created_at=START))
    with read_session(engine) as session:
        with pytest.raises(OperationalError, match="readonly"):
            session.execute(text(statement))
        with pytest.raises(OperationalError, match="readonly"):
            session.connection().exec_driver_sql(statement)
        session.rollback()
        with pytest.raises(OperationalError, match="readonly"):
            session.execute(text(statement))
    with write_session(engine) as session, session.begin():  # on the very connection that refused
        session.add(User(name="Ada", created_at=START))
    assert users(engine) == 2


def test_a_reader_is_not_held_up_by_a_writer_and_sees_the_state_before(engine: Engine) -> None:
    with write_session(engine) as writer, writer.begin():
        writer.add(User(name="Ada", created_at=START))
        writer.flush()
        assert users(engine) == 0
    assert users(engine) == 1


def count_up(engine: Engine, *, threads: int, units: int) -> float:
    """Each unit reads a number, thinks for a moment, and writes the next one; answers the seconds taken."""

    def unit(_: int) -> None:
        with write_session(engine) as session, session.begin():
            counter = session.scalars(select(User)).one()
            seen = int(counter.name)
            time.sleep(0.001)  # long enough for another thread to come between
            counter.name = str(seen + 1)

    began = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(unit, range(threads * units)))
    return time.monotonic() - began


def test_eight_writers_that_read_before_they_write_never_meet_a_lock(
    engine: Engine, record_figure: RecordFigure
) -> None:
    with write_session(engine) as session, session.begin():
        session.add(User(name="0", created_at=START))
    seconds = count_up(engine, threads=8, units=40)
    with read_session(engine) as session:
        assert session.scalars(select(User.name)).one() == "320"
    record_figure("read-then-write units of eight threads", 320 / seconds, "units/s")


def test_without_the_lock_at_the_beginning_such_units_fail(engine: Engine) -> None:
    """The control: it shows that the test above can fail, and why `BEGIN IMMEDIATE` is there."""
    with write_session(engine) as session, session.begin():
        session.add(User(name="0", created_at=START))
    both_have_read = threading.Barrier(2)

    def unit() -> None:
        with engine.execution_options(**{WRITES_OPTION: True}).connect() as connection:
            raw = connection.connection.driver_connection
            assert raw is not None
            raw.execute("PRAGMA query_only = 0")
            raw.execute("BEGIN")
            raw.execute("SELECT name FROM users").fetchall()
            both_have_read.wait(10)
            try:
                raw.execute("UPDATE users SET name = name + 1")
                raw.execute("COMMIT")
            finally:
                if raw.in_transaction:
                    raw.execute("ROLLBACK")

    with ThreadPoolExecutor(2) as pool:
        errors = [
            str(done.exception()) for done in [pool.submit(unit), pool.submit(unit)] if done.exception()
        ]
    assert errors == ["database is locked"]


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("fault", ["moved", "replaced"])
def test_a_file_that_is_moved_or_replaced_under_the_program_is_told_at_once(
    studio: Studio, fault: str
) -> None:
    database = studio.settings.home / "studio.db"
    with studio.work() as work:
        work.session.execute(text("SELECT 1"))
    database.rename(database.with_suffix(".elsewhere"))
    if fault == "replaced":
        database.write_bytes(b"")
    for unit in (studio.work, studio.read):
        with pytest.raises(StorageFailed, match="moved, replaced or deleted"), unit() as opened:
            opened.session.execute(text("SELECT 1"))
    assert database.exists() == (fault == "replaced")  # nobody made an empty one in its place
    database.with_suffix(".elsewhere").rename(database)
    with studio.work() as work:
        work.session.execute(text("SELECT 1"))


def test_all_who_open_a_new_file_at_the_same_moment_are_let_in(tmp_path: Path) -> None:
    openers, files = 4, 25
    barrier = threading.Barrier(openers)

    def open_each(_: int) -> None:
        for number in range(files):
            engine = open_engine(f"sqlite:///{tmp_path / f'{number}.db'}")
            barrier.wait(30)
            engine.connect().close()
            engine.dispose()

    with ThreadPoolExecutor(openers) as pool:
        list(pool.map(open_each, range(openers)))
    assert len(list(tmp_path.glob("*.db"))) == files
