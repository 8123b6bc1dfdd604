"""Rows by their ids, and conditions that a request may leave out: what the features' queries share."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import Select, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from text2song.db.base import Identified
from text2song.errors import NotFound

RowT = TypeVar("RowT", bound=Identified)
AnyT = TypeVar("AnyT")
_MESSAGE: Final = "there is no {noun} {row_id}. GET {path} lists those there are."


def get(session: Session, table: type[RowT], row_id: uuid.UUID, *, noun: str, path: str) -> RowT:
    """The row with that id; `noun` and `path` are for the message.

    Raises:
        NotFound: when there is none.
    """
    row = session.get(table, row_id)
    if row is None:
        raise NotFound(_MESSAGE.format(noun=noun, row_id=row_id, path=path))
    return row


def lock(session: Session, row: Identified) -> None:
    """Have the row as it is now, and keep it so until this unit ends.

    Units that look at a row before they decide wait for each other here. On SQLite they have done so
    since they began.

    Raises:
        NotFound: when it was deleted meanwhile.
    """
    if session.get(type(row), row.id, with_for_update=True, populate_existing=True) is None:
        raise NotFound(f"{row.id} was deleted in this very moment.")


def get_all(
    session: Session, table: type[RowT], row_ids: Sequence[uuid.UUID], *, noun: str, path: str
) -> list[RowT]:
    """The rows with these ids, in this order, by one query.

    Raises:
        NotFound: when one of them does not exist.
    """
    found = {row.id: row for row in session.scalars(select(table).where(table.id.in_(row_ids)))}
    for row_id in row_ids:
        if row_id not in found:
            raise NotFound(_MESSAGE.format(noun=noun, row_id=row_id, path=path))
    return [found[row_id] for row_id in row_ids]


def matching(query: Select[AnyT], wanted: Mapping[InstrumentedAttribute[Any], object | None]) -> Select[AnyT]:
    """`query` with a condition for each column that something is wanted of; None wants nothing."""
    return query.where(*(column == value for column, value in wanted.items() if value is not None))
