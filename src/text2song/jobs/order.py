"""Whose row begins next: priority first, then the user who was served longest ago, then age.

A job is served row by row: its first with the claim, and each further one when a worker that holds it has
room again. A free row belongs to the best among the jobs that wait and those that its worker holds.

The rule is written twice. `next_held` and `next_job` are what a worker asks, under the write lock: one row by
SQL. `in_order` plays all coming rows through, for the position that people are shown: each makes its user the
last one served, so that the whole line cannot be sorted by columns alone. A test holds both to each other and
to a slow reference.
"""

import datetime as dt
import uuid
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from sqlalchemy import ColumnElement, Double, Select, case, cast, func, or_, select, true
from sqlalchemy.orm import Session

from text2song.jobs.columns import JobColumns, JobStatus


@dataclass(frozen=True, slots=True)
class Place:
    """Where a waiting job stands."""

    position: int
    """1 for the next."""
    cost_ahead: float
    """The summed cost of what others have begun before it has its last row; not of what runs already."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What the turn of a job in hand goes by."""

    job_id: uuid.UUID
    token: uuid.UUID
    """Of the claim that holds it."""
    priority: int
    served_at: dt.datetime | None
    """When its user was last served."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the place of a job with rows to come depends on."""

    id: uuid.UUID
    priority: int
    turn_key: str
    cost: float
    """Of all rows to come."""
    is_ready: bool = True
    """False while it waits for its next attempt after a failure."""
    rows: int = 1
    """To come."""
    is_held: bool = False
    """Whether a worker has begun it."""


def is_ready(table: type[JobColumns], *, now: dt.datetime) -> ColumnElement[bool]:
    """Whether a queued job may be claimed now."""
    return or_(table.not_before.is_(None), table.not_before <= now)


def is_any_ready(
    session: Session,
    table: type[JobColumns],
    *,
    now: dt.datetime,
    where: ColumnElement[bool] | None = None,
) -> bool:
    """Whether some worker could claim a job now; perhaps its bell was lost."""
    ready = select(table.id).where(table.status == JobStatus.QUEUED, is_ready(table, now=now))
    return session.scalar(ready.where(true() if where is None else where).limit(1)) is not None


def next_job(
    table: type[JobColumns],
    *,
    where: ColumnElement[bool],
    now: dt.datetime,
    ahead_of: Turn | None = None,
) -> Select[uuid.UUID]:
    """The id of the waiting job that the next row belongs to, if any comes before `ahead_of`."""
    served_at = _last_served(table)
    return (
        select(table.id)
        .where(table.status == JobStatus.QUEUED, is_ready(table, now=now), where)
        .where(true() if ahead_of is None else _is_ahead(table, served_at, ahead_of))
        .order_by(table.priority.desc(), served_at.asc().nulls_first(), table.id)
        .limit(1)
    )


def next_held(
    session: Session, table: type[JobColumns], *, held: Mapping[uuid.UUID, uuid.UUID]
) -> Turn | None:
    """The turn of the job that comes first among those that these claims hold: tokens, and whose job each is.

    None if none of them is held any more.
    """
    served_at = _last_served(table)
    best = (
        select(table.id, table.claim_token, table.priority, served_at.label("served_at"))
        .where(table.id.in_(held.values()), table.claim_token.in_(held), table.status == JobStatus.RUNNING)
        .order_by(table.priority.desc(), served_at.asc().nulls_first(), table.id)
        .limit(1)
    )
    found = session.execute(best).first()
    if found is None or found.claim_token is None:
        return None
    return Turn(found.id, found.claim_token, found.priority, found.served_at)


def in_order(jobs: Sequence[Waiting], *, served_at: Mapping[str, dt.datetime]) -> Iterator[Waiting]:
    """The jobs, given by age, each as often as it has rows to come, in the order in which they begin.

    `served_at` says when each user was last served; whoever never was is not in it. A job that waits
    for its next attempt comes after all that are ready: the claims of this moment pass it by.
    """
    moments = {moment: rank for rank, moment in enumerate(sorted(set(served_at.values())))}
    served = {user: moments[moment] for user, moment in served_at.items()}
    later = count(len(moments))
    levels: dict[tuple[bool, int], dict[str, deque[tuple[int, Waiting]]]] = {}
    for age, job in enumerate(jobs):
        level = levels.setdefault((not job.is_ready, -job.priority), {})
        level.setdefault(job.turn_key, deque()).append((age, job))
    for _, lines in sorted(levels.items()):
        # Who was served goes to the end, so that from here on the users of a level take turns in one order.
        users = deque(sorted(lines, key=lambda user: (served.get(user, -1), lines[user][0][0])))
        left = {user: line[0][1].rows for user, line in lines.items()}
        while users:
            user = users.popleft()
            yield lines[user][0][1]
            served[user] = next(later)
            left[user] -= 1
            if not left[user]:
                lines[user].popleft()
                left[user] = lines[user][0][1].rows if lines[user] else 0
            if lines[user]:
                users.append(user)


def places(
    session: Session,
    table: type[JobColumns],
    job_ids: Collection[uuid.UUID],
    *,
    where: ColumnElement[bool],
    now: dt.datetime,
) -> dict[uuid.UUID, Place]:
    """The places of those of `job_ids` that wait, among the jobs that `where` admits.

    Foretold as if one worker did it all: of several, each gives its free rows to what waits and what itself
    holds.
    """
    line = _to_come(session, table, where=where, now=now)
    wanted = {job.id for job in line if not job.is_held} & set(job_ids)
    found: dict[uuid.UUID, Place] = {}
    positions: dict[uuid.UUID, int] = {}
    begun: dict[uuid.UUID, int] = {}
    cost_begun = 0.0
    for job in in_order(line, served_at=_served(session, table, where)):
        if len(found) == len(wanted):
            break
        if not job.is_held:
            positions.setdefault(job.id, len(positions) + 1)
        begun[job.id] = begun.get(job.id, 0) + 1
        of_each_row = job.cost / job.rows
        cost_begun += of_each_row
        if job.id in wanted and begun[job.id] == job.rows:
            found[job.id] = Place(positions[job.id], cost_begun - job.cost)
    return found


def _to_come(
    session: Session, table: type[JobColumns], *, where: ColumnElement[bool], now: dt.datetime
) -> list[Waiting]:
    """Every job with rows to come: those that wait, by age, and those that workers have begun."""
    left = table.cost * (1 - table.progress)
    columns = (table.id, table.priority, table.turn_key)
    waiting = select(
        *columns, left, is_ready(table, now=now), case((table.rows > 1, table.rows), else_=1)
    ).where(table.status == JobStatus.QUEUED, where)
    to_come = table.rows - table.rows_begun
    held = select(*columns, left * to_come / cast(table.rows, Double), true(), to_come).where(
        table.status == JobStatus.RUNNING, to_come > 0, where
    )
    begun = [Waiting(*row, is_held=True) for row in session.execute(held)]
    found = [Waiting(*row) for row in session.execute(waiting.order_by(table.id))]
    return sorted([*begun, *found], key=lambda job: job.id) if begun else found


def _last_served(table: type[JobColumns]) -> ColumnElement[dt.datetime | None]:
    """When the user of a job of `table` was last served."""
    earlier = table.__table__.alias()
    return (
        select(func.max(earlier.c.claimed_at))
        .where(earlier.c.turn_key == table.turn_key)
        .correlate(table)
        .scalar_subquery()
    )


def _is_ahead(
    table: type[JobColumns], served_at: ColumnElement[dt.datetime | None], other: Turn
) -> ColumnElement[bool]:
    """Whether a job comes before `other`, by the order of `next_job`."""
    is_older = table.id < other.job_id
    comes_first = (
        served_at.is_(None) & is_older
        if other.served_at is None
        else or_(
            served_at.is_(None),
            served_at < other.served_at,
            (served_at == other.served_at) & is_older,
        )
    )
    return or_(table.priority > other.priority, (table.priority == other.priority) & comes_first)


def _served(session: Session, table: type[JobColumns], where: ColumnElement[bool]) -> dict[str, dt.datetime]:
    """When each user with a job that waits or runs was last served."""
    is_open = table.status.in_([JobStatus.QUEUED, JobStatus.RUNNING])
    users = select(table.turn_key).where(is_open, where).distinct().subquery()
    earlier = table.__table__.alias()
    last = (
        select(func.max(earlier.c.claimed_at)).where(earlier.c.turn_key == users.c.turn_key).scalar_subquery()
    )
    return {
        user: moment for user, moment in session.execute(select(users.c.turn_key, last)) if moment is not None
    }
