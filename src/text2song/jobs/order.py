"""Who is next: priority first, then the user who was served longest ago, then age.

The rule is written twice. `next_job` is what a claim asks, under the write lock: one row by SQL.
`in_order` plays all coming claims through, for the position that people are shown: each claim makes
its user the last one served, so that the whole line cannot be sorted by columns alone. A test holds
both to each other and to a slow reference.
"""

import datetime as dt
import heapq
import uuid
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import Session

from text2song.jobs.columns import JobColumns, JobStatus


@dataclass(frozen=True, slots=True)
class Place:
    """Where a waiting job stands."""

    position: int
    """1 for the next."""
    cost_ahead: float
    """The summed cost of the jobs before it."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a waiting job's place depends on."""

    id: uuid.UUID
    priority: int
    turn_key: str
    cost: float
    is_ready: bool = True
    """False while it waits for its next attempt after a failure."""


def is_ready(table: type[JobColumns], *, now: dt.datetime) -> ColumnElement[bool]:
    """Whether a queued job may be claimed now."""
    return or_(table.not_before.is_(None), table.not_before <= now)


def is_any_ready(session: Session, table: type[JobColumns], *, now: dt.datetime) -> bool:
    """Whether some worker could claim a job now; perhaps its bell was lost."""
    ready = select(table.id).where(table.status == JobStatus.QUEUED, is_ready(table, now=now)).limit(1)
    return session.scalar(ready) is not None


def next_job(
    table: type[JobColumns], *, where: ColumnElement[bool], now: dt.datetime
) -> Select[uuid.UUID, int]:
    """The id and the rows of the job that the next claim takes, if any."""
    earlier = table.__table__.alias()
    served_at = (
        select(func.max(earlier.c.claimed_at))
        .where(earlier.c.turn_key == table.turn_key)
        .correlate(table)
        .scalar_subquery()
    )
    return (
        select(table.id, table.rows)
        .where(table.status == JobStatus.QUEUED, is_ready(table, now=now), where)
        .order_by(table.priority.desc(), served_at.asc().nulls_first(), table.id)
        .limit(1)
    )


def in_order(jobs: Sequence[Waiting], *, served_at: Mapping[str, dt.datetime]) -> Iterator[Waiting]:
    """The jobs, given by age, in the order in which claims will take them.

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
        turns = [(served.get(user, -1), line[0][0], user) for user, line in lines.items()]
        heapq.heapify(turns)
        while turns:
            _, _, user = heapq.heappop(turns)
            yield lines[user].popleft()[1]
            served[user] = next(later)
            if lines[user]:
                heapq.heappush(turns, (served[user], lines[user][0][0], user))


def places(
    session: Session,
    table: type[JobColumns],
    job_ids: Collection[uuid.UUID],
    *,
    where: ColumnElement[bool],
    now: dt.datetime,
) -> dict[uuid.UUID, Place]:
    """The places of those of `job_ids` that wait, among the jobs that `where` admits."""
    wanted = set(job_ids)
    found: dict[uuid.UUID, Place] = {}
    cost_ahead = 0.0
    line = in_order(_waiting(session, table, where=where, now=now), served_at=_served(session, table, where))
    for position, job in enumerate(line, start=1):
        if job.id in wanted:
            found[job.id] = Place(position, cost_ahead)
            if len(found) == len(wanted):
                break
        cost_ahead += job.cost
    return found


def _waiting(
    session: Session, table: type[JobColumns], *, where: ColumnElement[bool], now: dt.datetime
) -> list[Waiting]:
    query = (
        select(table.id, table.priority, table.turn_key, table.cost, is_ready(table, now=now))
        .where(table.status == JobStatus.QUEUED, where)
        .order_by(table.id)
    )
    return [Waiting(*row) for row in session.execute(query)]


def _served(session: Session, table: type[JobColumns], where: ColumnElement[bool]) -> dict[str, dt.datetime]:
    """When each user with a waiting job was last served."""
    users = select(table.turn_key).where(table.status == JobStatus.QUEUED, where).distinct().subquery()
    earlier = table.__table__.alias()
    last = (
        select(func.max(earlier.c.claimed_at)).where(earlier.c.turn_key == users.c.turn_key).scalar_subquery()
    )
    return {
        user: moment for user, moment in session.execute(select(users.c.turn_key, last)) if moment is not None
    }
