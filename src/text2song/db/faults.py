"""What the database's own errors mean to a person.

A driver's words may name hosts, ports and users, and these messages reach clients of the API: the
words go to the log alone.
"""

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from text2song.errors import (
    DatabaseBusy,
    DatabaseDamaged,
    InvalidInput,
    StorageFailed,
    StorageFull,
    StudioError,
)

log = structlog.get_logger(__name__)

_LOCKED: Final = (
    "another program keeps the database locked. Try again in a few seconds; if this stays, close the "
    "program that has studio.db open."
)
DISK_FULL: Final = (
    "the disk that holds the database is full. Nothing was lost: free some space and try again."
)
NOT_WRITABLE: Final = (
    "the database cannot be written: check the owner and the permissions of its file and folder."
)
_NOT_OPENED: Final = (
    "the database cannot be opened: check that its folder is there, with the right owner and permissions."
)
_DAMAGED: Final = (
    "the database's file is damaged, or no database at all ({error}). Put a copy in its place; those that "
    "upgrades made are in the folder `backups` of the home folder."
)
_DISK: Final = "the disk that holds the database did not answer as it should ({error}): check it."
_SQLITE: Final[Mapping[str, tuple[type[StudioError], str]]] = MappingProxyType(
    {
        "BUSY": (DatabaseBusy, _LOCKED),
        "LOCKED": (DatabaseBusy, _LOCKED),
        "FULL": (StorageFull, DISK_FULL),
        "READONLY": (StorageFailed, NOT_WRITABLE),
        "PERM": (StorageFailed, NOT_WRITABLE),
        "CANTOPEN": (StorageFailed, _NOT_OPENED),
        "NOTADB": (DatabaseDamaged, _DAMAGED),
        "CORRUPT": (DatabaseDamaged, _DAMAGED),
        "IOERR": (StorageFailed, _DISK),
    }
)
"""By the first word of SQLite's result code (https://sqlite.org/rescode.html); others are faults of ours."""
_CROSSED: Final = "other work was in the way of this: try again."
_CROWDED: Final = "the database serves as many as it can: try again in a few seconds."
_REFUSED: Final = (
    "the database refuses the studio: check user and password in TEXT2SONG_DATABASE_URL, and what that "
    "user may do."
)
_READ_ONLY: Final = (
    "the database's server takes no writes now, as a standby does: check which server "
    "TEXT2SONG_DATABASE_URL names."
)
_NO_SUCH: Final = (
    "the server has no database of that name: create it, or see to its name in TEXT2SONG_DATABASE_URL."
)
_SLOW: Final = "the database took too long to answer: try again in a few seconds."
_ABSENT: Final = (
    "the database cannot be reached, or did not answer as it should. Try again in a few seconds; if this "
    "stays, check that its server runs and that TEXT2SONG_DATABASE_URL is right. The studio's log says more."
)
_SERVERS_DISK: Final = "the disk of the database's server did not answer as it should: check it."
_SERVERS_DAMAGE: Final = (
    "the database is damaged: its server's log says where. Restore it from a backup, after checking the disk."
)
_NOT_KEPT: Final = (
    "it holds a letter that the database cannot keep (U+0000), or something too long or too large for it: "
    "change that."
)
_POSTGRESQL: Final[Mapping[str, tuple[type[StudioError], str]]] = MappingProxyType(
    {
        "22001": (InvalidInput, _NOT_KEPT),
        "22003": (InvalidInput, _NOT_KEPT),
        "22021": (InvalidInput, _NOT_KEPT),
        "22P05": (InvalidInput, _NOT_KEPT),
        "25006": (StorageFailed, _READ_ONLY),
        "40001": (DatabaseBusy, _CROSSED),
        "40P01": (DatabaseBusy, _CROSSED),
        "55P03": (DatabaseBusy, _CROSSED),
        "57014": (DatabaseBusy, _SLOW),
        "25P03": (DatabaseBusy, _SLOW),
        "53300": (DatabaseBusy, _CROWDED),
        "53100": (StorageFull, DISK_FULL),
        "28000": (StorageFailed, _REFUSED),
        "28P01": (StorageFailed, _REFUSED),
        "42501": (StorageFailed, _REFUSED),
        "3D000": (StorageFailed, _NO_SUCH),
        "58030": (StorageFailed, _SERVERS_DISK),
        "XX001": (DatabaseDamaged, _SERVERS_DAMAGE),
        "XX002": (DatabaseDamaged, _SERVERS_DAMAGE),
    }
)
"""By SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html)."""
_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        r"password authentication failed|no password supplied": "28P01",
        r"no pg_hba\.conf entry|role .* (does not exist|is not permitted to log in)": "28000",
        r"permission denied for database": "42501",
        r"database .* does not exist": "3D000",
        r"session is read-only|server is in hot standby": "25006",
        r"too many (clients|connections)|remaining connection slots": "53300",
        r"cannot contain NUL": "22021",
    }
)
"""The driver gives no SQLSTATE for a connection that was refused, nor for text that it refuses itself. A
server that refuses in another language than English is told as out of reach."""


@contextmanager
def faults_explained() -> Iterator[None]:
    """Turn faults of the database's surroundings, raised inside, into errors for a person."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        explained = explain(error)
        if explained is None:
            raise
        raise explained from error


def explain(error: Exception) -> StudioError | None:
    """The studio's error for a fault of the database's surroundings; None for a fault of ours."""
    if isinstance(error, PoolTimeout):
        return DatabaseBusy("too much is going on at once: try again in a few seconds.")
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.Error):
        return _explain_sqlite(cause)
    if isinstance(error, DBAPIError):
        return _explain_postgresql(error)
    return None


def _explain_sqlite(error: sqlite3.Error) -> StudioError | None:
    kind = getattr(error, "sqlite_errorname", "").removeprefix("SQLITE_").partition("_")[0]
    if kind not in _SQLITE:
        return None
    meaning, message = _SQLITE[kind]
    return meaning(message.format(error=error))


def _explain_postgresql(error: DBAPIError) -> StudioError | None:
    state = getattr(error.orig, "sqlstate", None) or _state_of_words(str(error.orig))
    if state not in _POSTGRESQL and not isinstance(error, OperationalError):
        return None
    log.warning("the database failed", sqlstate=state, error=str(error.orig))
    meaning, message = _POSTGRESQL.get(state or "", (StorageFailed, _ABSENT))
    return meaning(message)


def _state_of_words(words: str) -> str | None:
    return next((state for said, state in _WORDS.items() if re.search(said, words)), None)
