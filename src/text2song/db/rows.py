"""Rows by their ids, and conditions that a request may leave out: what the features' queries share."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from text2song.db.base import Identified
from text2song.errors import NotFound

RowT = TypeVar("RowT", bound=Identified)
AnyT = TypeVar("AnyT")


@dataclass(frozen=True, slots=True)
class Place:
    """Where rows are looked for."""

    noun: str
    path: str
    """Noun and path are for the message where there is none."""
    where: ColumnElement[bool] = true()  # noqa: RUF009  # immutable
    """Beyond this there is nothing, for whoever asks."""


def get(session: Session, table: type[RowT], row_id: uuid.UUID, *, place: Place) -> RowT:
    """The row with that id.

    Raises:
        NotFound: when there is none.
    """
    return get_all(session, table, [row_id], place=place)[0]


def lock(session: Session, row: Identified) -> None:
    """Have the row as it is now, and keep it so until this unit ends.

    Units that look at a row before they decide wait for each other here. On SQLite they have done so
    since they began.

    Raises:
        NotFound: when it was deleted meanwhile.
    """
    if session.get(type(row), row.id, with_for_update=True, populate_existing=True) is None:
        raise NotFound(f"{row.id} was deleted in this very moment.")


def get_all(session: Session, table: type[RowT], row_ids: Sequence[uuid.UUID], *, place: Place) -> list[RowT]:
    """The rows with these ids, in this order, by one query.

    Raises:
        NotFound: when one of them does not exist.
    """
    query = select(table).where(table.id.in_(row_ids), place.where)
    found = {row.id: row for row in session.scalars(query)}
    _require(row_ids, found, place)
    return [found[row_id] for row_id in row_ids]


def require(
    session: Session, table: type[Identified], row_ids: Collection[uuid.UUID], *, place: Place
) -> None:
    """Check that there are rows with these ids, and read no more of them.

    Raises:
        NotFound: when one of them does not exist.
    """
    query = select(table.id).where(table.id.in_(row_ids), place.where)
    _require(row_ids, set(session.scalars(query)), place)


def matching(query: Select[AnyT], wanted: Mapping[InstrumentedAttribute[Any], object | None]) -> Select[AnyT]:
    """`query` with a condition for each column that something is wanted of; None wants nothing."""
    return query.where(*(column == value for column, value in wanted.items() if value is not None))


def _require(row_ids: Collection[uuid.UUID], found: Collection[uuid.UUID], place: Place) -> None:
    for row_id in row_ids:
        if row_id not in found:
            raise NotFound(f"there is no {place.noun} {row_id}. GET {place.path} lists those there are.")
