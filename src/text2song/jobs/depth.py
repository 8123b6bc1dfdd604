"""How much work waits and for how long: what an operator watches, and what starts more workers.

Only jobs that are not over are counted, by an index that begins with their status: the cost grows
with the queue, and not with all that was ever made.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select, true
from sqlalchemy.orm import Session

from text2song.jobs.columns import JobColumns, JobStatus
from text2song.jobs.order import is_ready


@dataclass(frozen=True, slots=True)
class Depth:
    """The open jobs of one kind at one moment."""

    waiting: int
    """Ready to be claimed."""
    delayed: int
    """Waiting for their next attempt after a failure."""
    running: int
    """In the hands of a worker."""
    oldest_waiting_seconds: float
    """Since the oldest job that is ready was accepted; 0 where none is."""


def depths(session: Session, tables: Mapping[str, type[JobColumns]], *, now: dt.datetime) -> dict[str, Depth]:
    """The depth of each kind's queue."""
    return {kind: depth(session, table, now=now) for kind, table in tables.items()}


def depth(
    session: Session,
    table: type[JobColumns],
    *,
    now: dt.datetime,
    where: ColumnElement[bool] | None = None,
) -> Depth:
    """The depth of one queue; `where` narrows it, to the jobs for one model for instance."""
    among = true() if where is None else where
    ready = is_ready(table, now=now)
    queued = select(func.count(), func.count().filter(ready)).where(table.status == JobStatus.QUEUED, among)
    total, waiting = session.execute(queued).one()
    oldest = session.scalar(
        select(func.min(table.created_at)).where(table.status == JobStatus.QUEUED, ready, among)
    )
    running = session.scalar(
        select(func.count()).select_from(table).where(table.status == JobStatus.RUNNING, among)
    )
    return Depth(
        waiting=waiting,
        delayed=total - waiting,
        running=running or 0,
        # A clock that was set back must not show work from the future.
        oldest_waiting_seconds=max(0.0, (now - oldest).total_seconds()) if oldest is not None else 0.0,
    )
