"""Bringing a database to the schema that this version of the studio needs."""

import datetime as dt
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from text2song.db.engine import WRITES_OPTION
from text2song.errors import SchemaTooNew, SchemaTooOld

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

    Two processes may call it at once: the second waits for the first. A SQLite file that holds
    data is copied into the folder `backups` first.

    Raises:
        SchemaTooNew: when a newer version of the studio made this database; it is left untouched.
    """
    with engine.connect().execution_options(**{WRITES_OPTION: True}) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        before = current(connection)
        newest = head()
        if before == newest:
            return Upgrade(before, newest, None)
        _require_known(before)
        backup = _back_up(connection, backups, before, now) if before is not None else None
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        return Upgrade(before, newest, backup)


def require_current(engine: Engine) -> None:
    """Check that the schema is the one that this version needs, and change nothing.

    Raises:
        SchemaTooNew: when a newer version made this database.
        SchemaTooOld: when it was never made, or an older version made it.
    """
    with engine.connect() as connection:
        found = current(connection)
    _require_known(found)
    if found != head():
        raise SchemaTooOld("the database is not set up for this version: run `text2song db upgrade`.")


def current(connection: Connection) -> str | None:
    """The revision that a database is at."""
    return MigrationContext.configure(connection).get_current_revision()


def head() -> str:
    """The newest revision that this version knows."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        raise RuntimeError("the package holds no migrations")
    return revision


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


def _back_up(connection: Connection, backups: Path, revision: str, now: dt.datetime) -> Path | None:
    database = connection.engine.url.database
    if connection.dialect.name != "sqlite" or not database or database == ":memory:":
        return None
    backups.mkdir(parents=True, exist_ok=True)
    target = backups / f"{Path(database).stem}-{revision}-{now:%Y%m%dT%H%M%S}.db"
    # A second connection reads the state before this unit, which has only taken the lock so far.
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
    return target
