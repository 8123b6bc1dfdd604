"""One engine for each process, and the two kinds of session that use it.

SQLAlchemy is synchronous here and everywhere (see docs/decisions): the same services run in the
API's thread pool, in workers and on the command line.
"""

import sqlite3
import time
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.orm import ORMExecuteState, Session

from text2song.db import postgresql
from text2song.db.urls import SETTING, is_sqlite, parse
from text2song.errors import MissingPart, StorageFailed
from text2song.names import INSTALLING

THREAD_LIMIT: Final = 40
"""AnyIO's default number of worker threads: each may hold one connection at the same time."""
OVERFLOW: Final = 10
"""For the threads that are not AnyIO's: runner, heartbeat, sweep."""
BUSY_SECONDS: Final = 5.0
"""How long SQLite waits for another writer before it says that the database is locked."""
RETRY_SECONDS: Final = 0.01
PRIMARY_CODE: Final = 0xFF
"""Of SQLite's error codes, the part that says what kind of error it is."""
WRITES_OPTION: Final = "text2song_writes"


def open_engine(url: str, *, name: str = SETTING, idle_seconds: float | None = None) -> Engine:
    """The engine of a `sqlite:///` or `postgresql://` URL; `name` says in errors where it was given.

    With `idle_seconds`, a server breaks off a unit that pauses for that long sooner than it would anyway.

    Raises:
        InvalidSetting: when the URL is neither.
        MissingPart: when PostgreSQL's driver is not installed.
        StorageFailed: when the folder of the SQLite file cannot be made.
    """
    parsed = parse(url, name=name)
    return (
        _open_sqlite(parsed, name=name)
        if is_sqlite(parsed)
        else _open_postgresql(parsed, name=name, idle_seconds=idle_seconds)
    )


def _open_sqlite(url: URL, *, name: str) -> Engine:
    _make_folder(url, name=name)
    engine = create_engine(
        url,
        pool_size=THREAD_LIMIT,
        max_overflow=OVERFLOW,
        pool_timeout=BUSY_SECONDS * 2,
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
    )
    file = _OneFile(Path(url.database or ""))
    event.listen(engine, "do_connect", file.check)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "connect", file.remember)
    event.listen(engine, "begin", file.check)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _open_postgresql(url: URL, *, name: str, idle_seconds: float | None) -> Engine:
    try:
        engine = create_engine(
            url,
            pool_size=THREAD_LIMIT,
            max_overflow=OVERFLOW,
            pool_timeout=BUSY_SECONDS * 2,
            # One round trip more for each unit. Without it, every idle connection of the pool fails one
            # request each after the server was restarted.
            pool_pre_ping=True,
            connect_args=postgresql.connect_args(url, name=name, idle_seconds=idle_seconds),
        )
    except ModuleNotFoundError as error:
        raise MissingPart(
            f"{name} names PostgreSQL, whose driver is not installed: {INSTALLING.format(extra='postgres')}."
        ) from error
    event.listen(engine, "begin", _begin_postgresql)
    return engine


def _make_folder(url: URL, *, name: str) -> None:
    folder = Path(url.database or "").absolute().parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageFailed(
            f"the folder {folder} cannot be made ({error.strerror}): choose another {name}."
        ) from error


class _OneFile:
    """Notices when the database's file is moved, replaced or deleted under the running program.

    SQLite would go on writing to the file that nobody can find any more, and a new connection would
    make an empty one in its place: accepted work would be lost without a word.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: tuple[int, int] | None = None

    def remember(self, *_: object) -> None:
        """The first connection has opened, and perhaps made, the file."""
        if self._known is None:
            self._known = self._found()

    def check(self, *_: object) -> None:
        """Refuse to go on with another file than the first.

        Raises:
            StorageFailed: it is not the one that was opened.
        """
        if self._known is not None and self._found() != self._known:
            raise StorageFailed(
                f"{self._path} was moved, replaced or deleted while the studio runs. Put it back, or stop "
                "the studio and start it again with the file that you want."
            )

    def _found(self) -> tuple[int, int] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_dev, stat.st_ino


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # The driver's own transaction handling would begin late and deferred; ours is in `_begin_sqlite`.
    connection.isolation_level = None
    cursor = connection.cursor()
    _log_ahead(cursor)
    for pragma in ("foreign_keys = ON", "synchronous = FULL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _log_ahead(cursor: sqlite3.Cursor) -> None:
    """Of several that open a new file at the same moment SQLite turns all but one away, without any wait."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode & PRIMARY_CODE == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() >= until:
                raise
            time.sleep(RETRY_SECONDS)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    # A unit that reads and then writes fails with "database is locked" if another wrote between
    # (measured: 258 of 320 with eight writers). Taking the write lock first fails none.
    writes = connection.get_execution_options().get(WRITES_OPTION, False)
    connection.exec_driver_sql(f"PRAGMA query_only = {not writes}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _begin_postgresql(connection: Connection) -> None:
    postgresql.begin(connection, writes=connection.get_execution_options().get(WRITES_OPTION, False))


class ReadSession(Session):
    """A session that cannot write: a mistake is loud instead of silently rolled back.

    What goes past the ORM, such as a statement in plain text, is refused by the database itself.
    """

    def flush(self, objects: Any = None) -> None:  # noqa: ANN401  # SQLAlchemy's signature
        """Refuse pending changes."""
        if self.new or self.dirty or self.deleted:
            raise RuntimeError("a Reader may not write: take a Work")
        super().flush(objects)


@event.listens_for(ReadSession, "do_orm_execute")
def _refuse_writes(state: ORMExecuteState) -> None:
    if state.is_insert or state.is_update or state.is_delete:
        raise RuntimeError("a Reader may not write: take a Work")


def read_session(engine: Engine) -> Session:
    """A session for reading."""
    return ReadSession(engine, expire_on_commit=False)


def write_session(engine: Engine) -> Session:
    """A session that may write; on SQLite it takes the write lock when it begins."""
    return Session(engine.execution_options(**{WRITES_OPTION: True}), expire_on_commit=False)
