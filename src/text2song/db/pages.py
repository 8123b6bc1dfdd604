"""Pages of rows, newest first: a cursor is the id of the last row that was seen.

Keyset pages cost the same at any depth and neither skip nor repeat a row when others are added.
"""

import base64
import binascii
import uuid
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute, Session

from text2song.errors import InvalidCursor

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200
CURSOR_PATTERN: Final = "^[A-Za-z0-9_-]{22}$"
"""What `encode_cursor` makes of the 16 bytes of an id."""

RowT = TypeVar("RowT")


@dataclass(frozen=True, slots=True)
class RowPage(Generic[RowT]):
    """Some rows, and where to go on (None: that was the last page)."""

    rows: list[RowT]
    next_cursor: str | None


def newest_first(
    session: Session,
    query: Select[RowT],
    *,
    by: InstrumentedAttribute[uuid.UUID],
    cursor: str | None,
    limit: int,
) -> RowPage[RowT]:
    """One page of `query`, ordered by `by` (a UUIDv7 id) from the newest to the oldest."""
    if cursor is not None:
        query = query.where(by < decode_cursor(cursor))
    rows: list[Any] = list(session.scalars(query.order_by(by.desc()).limit(limit + 1)))
    more = len(rows) > limit
    rows = rows[:limit]
    last = getattr(rows[-1], by.key) if more else None
    return RowPage(rows, encode_cursor(last) if last is not None else None)


def encode_cursor(last: uuid.UUID) -> str:
    """An opaque text for a URL."""
    return base64.urlsafe_b64encode(last.bytes).decode().rstrip("=")


def decode_cursor(cursor: str) -> uuid.UUID:
    """The id in a cursor.

    Raises:
        InvalidCursor: when the text is not one of ours.
    """
    try:
        return uuid.UUID(bytes=base64.b64decode(cursor + "==", altchars=b"-_", validate=True))
    except (ValueError, binascii.Error) as error:
        raise InvalidCursor(
            "this cursor is not one that the studio gave: begin again without it.", field="cursor"
        ) from error
