"""Who is next: priority first, then turns between users, then age.

One definition serves the claim and the position that people are shown, so that they agree.
"""

import uuid
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Subquery, func, select
from sqlalchemy.orm import Session, aliased

from text2song.jobs.columns import JobColumns, JobStatus


@dataclass(frozen=True, slots=True)
class Place:
    """Where a waiting job stands."""

    position: int
    """1 for the next."""
    cost_ahead: float
    """The summed cost of the jobs before it."""


def waiting_line(table: type[JobColumns], *, where: ColumnElement[bool]) -> Subquery:
    """Columns id, rows, place, cost_ahead: the queued jobs in the order in which they will be served.

    `turn` numbers each user's own jobs of one priority by age. All first turns come before all
    second ones, the user who was served longest ago first: a user with one job waits for at most
    one job of each other user, however many they have queued.
    """
    earlier = aliased(table)
    served_at = (
        select(earlier.claimed_at)
        .where(earlier.turn_key == table.turn_key, earlier.claimed_at.is_not(None))
        .order_by(earlier.claimed_at.desc())
        .limit(1)
        .correlate(table)
        .scalar_subquery()
    )
    turn = func.row_number().over(partition_by=(table.priority, table.turn_key), order_by=table.id)
    turns = (
        select(
            table.id,
            table.rows,
            table.cost,
            table.priority,
            turn.label("turn"),
            served_at.label("served_at"),
        )
        .where(table.status == JobStatus.QUEUED, where)
        .subquery()
    )
    order = (turns.c.priority.desc(), turns.c.turn, turns.c.served_at.asc().nulls_first(), turns.c.id)
    cost_through = func.sum(turns.c.cost).over(order_by=order, rows=(None, 0))
    return select(
        turns.c.id,
        turns.c.rows,
        func.row_number().over(order_by=order).label("place"),
        (cost_through - turns.c.cost).label("cost_ahead"),
    ).subquery()


def places(
    session: Session,
    table: type[JobColumns],
    job_ids: Collection[uuid.UUID],
    *,
    where: ColumnElement[bool],
) -> dict[uuid.UUID, Place]:
    """The places of those of `job_ids` that wait, among the jobs that `where` admits."""
    line = waiting_line(table, where=where)
    rows = session.execute(select(line.c.id, line.c.place, line.c.cost_ahead).where(line.c.id.in_(job_ids)))
    return {row.id: Place(row.place, float(row.cost_ahead)) for row in rows}
