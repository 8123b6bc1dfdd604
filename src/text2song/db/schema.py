"""Bringing a database to the schema that this version of the studio needs."""

import datetime as dt
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text

from text2song.db.engine import WRITES_OPTION
from text2song.db.faults import faults_explained
from text2song.db.postgresql import MIGRATION_LOCK_SECONDS, take_time
from text2song.db.urls import SETTING
from text2song.errors import InvalidSetting, SchemaTooNew, SchemaTooOld, StorageFailed

MIGRATION_LOCK = 7_352_061_994
"""PostgreSQL's advisory lock while one process migrates; any number, the same everywhere."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What `upgrade` did."""

    before: str | None
    """The revision that it found; None for an empty database."""
    after: str
    backup: Path | None
    """The copy that was made of a SQLite file before it was changed."""


def upgrade(engine: Engine, *, backups: Path, now: dt.datetime) -> Upgrade:
    """Migrate to the newest schema; nothing happens where that is there already.

    All or nothing: a migration that fails leaves the database as it was. Two processes may call it
    at once: the second waits for the first. A SQLite file that holds data is copied into the folder
    `backups` first; of a PostgreSQL database no copy is made, that is `pg_dump`'s.

    Raises:
        SchemaTooNew: when a newer version of the studio made this database; it is left untouched.
        DatabaseBusy: when another program holds the database.
        InvalidSetting: when a PostgreSQL database cannot hold every letter.
        StorageFull, StorageFailed: when the file or its copy cannot be written.
    """
    newest = head()
    found = _found(engine)
    if found == newest:  # seen without the write lock: another program may hold that for long
        return Upgrade(found, newest, None)
    with faults_explained(), _migrating(engine) as connection:
        before = current(connection)
        if before == newest:  # another process was faster
            return Upgrade(before, newest, None)
        backup = _back_up(connection, backups, now=now)
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        _require_whole(connection)
        return Upgrade(before, newest, backup)


def require_current(engine: Engine) -> None:
    """Check that the schema is the one that this version needs, and change nothing.

    Raises:
        SchemaTooNew: when a newer version made this database.
        SchemaTooOld: when it was never made, or an older version made it.
    """
    if _found(engine) != head():
        raise SchemaTooOld("the database is not set up for this version: run `text2song db upgrade`.")


def _found(engine: Engine) -> str | None:
    """The revision that a database is at, if this version knows it."""
    with faults_explained(), engine.connect() as connection:
        revision = current(connection)
    _require_known(revision)
    return revision


def current(connection: Connection) -> str | None:
    """The revision that a database is at."""
    return MigrationContext.configure(connection).get_current_revision()


def head() -> str:
    """The newest revision that this version knows."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        raise RuntimeError("the package holds no migrations")
    return revision


@contextmanager
def _migrating(engine: Engine) -> Iterator[Connection]:
    """A connection for one migration, in one transaction that holds the write lock."""
    with engine.connect().execution_options(**{WRITES_OPTION: True}) as connection:
        if connection.dialect.name == "sqlite":
            # SQLite alters a table by making a new one and dropping the old one, and while foreign keys
            # are on, a drop deletes every row that points there. This cannot be set once it has begun.
            driver = connection.connection.dbapi_connection
            assert isinstance(driver, sqlite3.Connection)  # noqa: S101  # for the type checker
            driver.execute("PRAGMA foreign_keys = OFF")
            connection.detach()  # so that nobody else is given it
        with connection.begin():
            if connection.dialect.name == "postgresql":
                _stand_in_line(connection)
            yield connection


def _stand_in_line(connection: Connection) -> None:
    """Wait for other processes that migrate, however long; then for nobody who reads or writes for long."""
    encoding = connection.execute(text("SHOW server_encoding")).scalar()
    if encoding != "UTF8":
        raise InvalidSetting(
            f"the database that {SETTING} names keeps letters as {encoding} and cannot hold all of them. "
            "Create one with ENCODING 'UTF8' and TEMPLATE template0.",
            field=SETTING,
        )
    take_time(connection)
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
    take_time(connection, lock_seconds=MIGRATION_LOCK_SECONDS)


def _require_whole(connection: Connection) -> None:
    """Check that every row still finds those it points to: nobody else did while it was off."""
    if connection.dialect.name == "sqlite" and (
        lost := connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    ):
        raise RuntimeError(f"the migration left a row of {lost[0]} that points to nothing in {lost[2]}")


def _require_known(revision: str | None) -> None:
    if revision is None:
        return
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if revision not in known:
        raise SchemaTooNew(
            f"a newer version of the studio made this database (schema {revision}). Install that version, "
            "or point TEXT2SONG_DATABASE_URL at another database. Nothing was changed."
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def _back_up(connection: Connection, backups: Path, *, now: dt.datetime) -> Path | None:
    """Copy a SQLite file that holds anything; a copy under its final name is a whole copy."""
    database = connection.engine.url.database
    if connection.dialect.name != "sqlite" or not database or not inspect(connection).get_table_names():
        return None
    target = backups / f"{Path(database).stem}-{current(connection) or 'foreign'}-{now:%Y%m%dT%H%M%S}.db"
    unfinished = target.with_suffix(".part")
    try:
        backups.mkdir(parents=True, exist_ok=True)
        # A second connection reads the state before this unit, which has only taken the lock so far.
        with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(unfinished)) as copy:
            source.backup(copy)
        unfinished.replace(target)
    except OSError as error:
        raise StorageFailed(
            f"the copy of the database cannot be made in {backups} ({error.strerror}): nothing was changed."
        ) from error
    finally:
        if backups.is_dir():
            unfinished.unlink(missing_ok=True)
    return target
