"""What the database's own errors mean to a person."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final

from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from text2song.errors import DatabaseBusy, StorageFailed, StorageFull, StudioError

_LOCKED: Final = (
    "another program keeps the database locked. Try again in a few seconds; if this stays, close the "
    "program that has studio.db open."
)
_FULL: Final = "the disk that holds the database is full. Nothing was lost: free some space and try again."
_NOT_WRITABLE: Final = (
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
        "FULL": (StorageFull, _FULL),
        "READONLY": (StorageFailed, _NOT_WRITABLE),
        "PERM": (StorageFailed, _NOT_WRITABLE),
        "CANTOPEN": (StorageFailed, _NOT_OPENED),
        "NOTADB": (StorageFailed, _DAMAGED),
        "CORRUPT": (StorageFailed, _DAMAGED),
        "IOERR": (StorageFailed, _DISK),
    }
)
"""By the first word of SQLite's result code (https://sqlite.org/rescode.html); others are faults of ours."""


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
    if isinstance(error, OperationalError):
        return StorageFailed(f"the database did not answer as it should ({cause}): try again.")
    return None


def _explain_sqlite(error: sqlite3.Error) -> StudioError | None:
    kind = getattr(error, "sqlite_errorname", "").removeprefix("SQLITE_").partition("_")[0]
    if kind not in _SQLITE:
        return None
    meaning, message = _SQLITE[kind]
    return meaning(message.format(error=error))
