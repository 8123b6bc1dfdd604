"""What the database's own errors mean to a person."""

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from text2song.errors import DatabaseBusy, StorageFailed, StorageFull, StudioError


def explain(error: Exception) -> StudioError | None:
    """The studio's error for a fault of the database's surroundings; None for a fault of ours."""
    text = str(error.orig if isinstance(error, DBAPIError) else error).lower()
    if isinstance(error, PoolTimeout):
        return DatabaseBusy("too much is going on at once: try again in a few seconds.")
    if not isinstance(error, OperationalError):
        return None
    if "locked" in text or "busy" in text:
        return DatabaseBusy(
            "another program keeps the database locked. Try again in a few seconds; if this stays, "
            "close the program that has studio.db open."
        )
    if "full" in text:
        return StorageFull(
            "the disk that holds the database is full. Nothing was lost: free some space and try again."
        )
    if "readonly" in text or "read-only" in text:
        return StorageFailed(
            "the database cannot be written: check the owner and the permissions of its file and folder."
        )
    return StorageFailed(f"the database did not answer as it should ({text}): try again.")
