"""What can happen to a job, as compare-and-set on its row.

Every claim has a token, and whatever a worker writes is fenced by it: a job that was cancelled,
or given to another worker because a lease ran out, has another token or none, and the late write
changes nothing. So a cancel and a lost lease are one mechanism, and doubled bells are harmless.

The functions take a session and never commit.
"""

import datetime as dt
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, CursorResult, func, select, true, update
from sqlalchemy.orm import Session

from text2song.errors import ClaimLost, StudioError, WorkerLost
from text2song.jobs.columns import JobColumns, JobStatus
from text2song.jobs.order import Turn, is_any_ready, next_held, next_job

MAX_FAILURES: Final = 3
"""Attempts that may end in an error before the job does."""
MAX_LOST_LEASES: Final = 20
"""A lost worker is seldom the job's fault, so it has a limit of its own; a job that kills every
worker which touches it must still end."""
BACKOFF_SECONDS: Final = (2.0, 10.0)
"""Waiting time after the first and the second failure."""
CLOCK_SLACK: Final = dt.timedelta(seconds=60)
"""How far the clock of another machine may run ahead of ours. Machines that keep time by NTP differ by
milliseconds, and one that has just woken by seconds; a minute bears both, and is all that a dead
worker's job waits after a clock was set back."""

JobTable = type[JobColumns]


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on one job."""

    job_id: uuid.UUID
    token: uuid.UUID


@dataclass(frozen=True, slots=True)
class Report:
    """What a beat carries; `progress` is a fraction."""

    progress: float
    stage: str


def claim(
    session: Session,
    table: JobTable,
    *,
    worker: str,
    now: dt.datetime,
    lease_seconds: float,
    where: ColumnElement[bool] | None = None,
    ahead_of: Turn | None = None,
) -> Claim | None:
    """The best waiting job, now running in the worker's name; None when there is none.

    Its first row begins with it, so its user is served. With `ahead_of`, the turn of a job that the
    worker holds already, only a job that comes before that one is taken.
    """
    best = next_job(table, where=true() if where is None else where, now=now, ahead_of=ahead_of)
    # On PostgreSQL many claim at the same time. Who passes by a job that another is just taking waits for
    # nobody, so that no two units, each with some jobs in hand, can wait for each other.
    best = best.with_for_update(of=table, skip_locked=True)
    while True:
        job_id = session.scalar(best)
        if job_id is None:
            return None
        token = uuid.uuid4()
        values = {
            "status": JobStatus.RUNNING,
            "stage": "starting",
            "claim_token": token,
            "claimed_by": worker,
            "claimed_at": now,
            "started_at": func.coalesce(table.started_at, now),
            **_lease(now, lease_seconds=lease_seconds),
            "rows_begun": 1,
            "attempts": table.attempts + 1,
            "sequence": table.sequence + 1,
        }
        if _set(session, table, (table.id == job_id) & (table.status == JobStatus.QUEUED), values):
            return Claim(job_id, token)


def take_turn(
    session: Session,
    table: JobTable,
    held: Collection[Claim],
    *,
    worker: str,
    now: dt.datetime,
    lease_seconds: float,
    where: ColumnElement[bool] | None = None,
) -> Claim | None:
    """Whose row begins next: of a job in `held`, or of one that waited and is claimed now; None: nobody's.

    Raises:
        ClaimLost: it would be that of a job which is no longer the worker's.
    """
    best = next_held(session, table, held={each.token: each.job_id for each in held}) if held else None
    claimed = claim(
        session, table, worker=worker, now=now, lease_seconds=lease_seconds, where=where, ahead_of=best
    )
    if claimed is not None or best is None:
        return claimed
    ours = Claim(best.job_id, best.token)
    if not begin_row(session, table, ours, now=now):
        raise ClaimLost("the job was cancelled or given to another worker.")
    return ours


def begin_row(session: Session, table: JobTable, claim: Claim, *, now: dt.datetime) -> bool:
    """Another row of a job that the worker holds begins, and its user is served; False: the claim is lost."""
    values = {"claimed_at": now, "rows_begun": table.rows_begun + 1}
    return _set(session, table, _held(table, claim), values)


def end_row(session: Session, table: JobTable, claim: Claim) -> None:
    """One of the rows in the making has its end; in a unit that is fenced (`hold`)."""
    values = {"rows": table.rows - 1, "rows_begun": table.rows_begun - 1}
    _set(session, table, _held(table, claim), values)


def beat(
    session: Session,
    table: JobTable,
    claim: Claim,
    *,
    now: dt.datetime,
    lease_seconds: float,
    report: Report | None,
) -> bool:
    """Renew the lease and store progress; False when the claim is lost."""
    values: dict[str, object] = _lease(now, lease_seconds=lease_seconds)
    if report is not None:
        values |= {
            "progress": report.progress,
            "stage": report.stage,
            "sequence": table.sequence + 1,
        }
    return _set(session, table, _held(table, claim), values)


def hold(session: Session, table: JobTable, claim: Claim) -> None:
    """Fence the unit: what else it writes is committed only if the claim still stands.

    Raises:
        ClaimLost: when another owns the job, or nobody.
    """
    if not _set(session, table, _held(table, claim), {"sequence": table.sequence + 1}):
        raise ClaimLost("the job was cancelled or given to another worker.")


def finish(session: Session, table: JobTable, claim: Claim, *, now: dt.datetime) -> None:
    """The work is done, and errors of earlier attempts are forgotten.

    Raises:
        ClaimLost: when the job is no longer the worker's to finish.
    """
    values = {
        "status": JobStatus.SUCCEEDED,
        "stage": "done",
        "progress": 1.0,
        "error_code": None,
        "error_message": None,
    }
    _end(session, table, claim, now=now, values=values)


def fail(session: Session, table: JobTable, claim: Claim, *, error: StudioError, now: dt.datetime) -> bool:
    """The attempt ended in an error: try again later if that may help; True when it was the last.

    Raises:
        ClaimLost: when the job is no longer the worker's to fail.
    """
    failures = session.scalar(select(table.failures).where(_held(table, claim)))
    if failures is None:
        raise ClaimLost("the job was cancelled or given to another worker.")
    said: dict[str, object] = {
        "error_code": error.code,
        "error_message": error.message,
        "failures": failures + 1,
    }
    if not error.is_retryable or failures + 1 >= MAX_FAILURES:
        values = {"status": JobStatus.FAILED, "stage": "failed", **said}
        _end(session, table, claim, now=now, values=values)
        return True
    wait = dt.timedelta(seconds=BACKOFF_SECONDS[failures])
    values = {**_waiting(table), **said, "not_before": now + wait}
    if not _set(session, table, _held(table, claim), values):
        raise ClaimLost("the job was cancelled or given to another worker.")
    return False


def release(session: Session, table: JobTable, claim: Claim) -> None:
    """Hand the job back as if it had not been claimed: the worker is stopping; its user was not served."""
    values = {**_waiting(table), "attempts": table.attempts - 1, "claimed_at": None}
    _set(session, table, _held(table, claim), values)


def hand_back(session: Session, table: JobTable, claim: Claim) -> None:
    """Let the job wait with the rows that it still needs: the worker begins no more; its user was served."""
    values = {**_waiting(table), "attempts": table.attempts - 1}
    _set(session, table, _held(table, claim), values)


def cancel(session: Session, table: JobTable, job_id: uuid.UUID, *, now: dt.datetime) -> bool:
    """Take the job from the queue or from its worker; False when it was over already."""
    is_open = table.status.in_([JobStatus.QUEUED, JobStatus.RUNNING])
    values = {"status": JobStatus.CANCELLED, "stage": "cancelled", **_ending(table, now=now)}
    return _set(session, table, (table.id == job_id) & is_open, values)


def mark_changed(session: Session, table: JobTable, where: ColumnElement[bool]) -> None:
    """Something that people see of these jobs, over or not, has changed elsewhere: whoever waits is told."""
    _count(session, table, where, {"sequence": table.sequence + 1})


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep found."""

    requeued: int
    """Jobs whose worker fell silent, waiting again."""
    given_up: int
    """Jobs that lost too many workers."""
    is_work_waiting: bool
    """Whether the bell should be rung: a job is ready, and perhaps its bell was lost."""


def sweep(session: Session, table: JobTable, *, now: dt.datetime) -> Swept:
    """Put right what dead workers, lost bells and clocks that were set back left behind.

    A lease that was renewed in the future is nobody's: a living worker renews it at its next beat, by
    the clock that counts now. Where that worker is alive after all, since its clock runs ahead by more
    than the slack, it has lost its claim: it can write nothing, and the takes that it saved are kept.
    """
    ran_out = table.lease_expires_at < now
    is_of_the_future = table.lease_renewed_at > now + CLOCK_SLACK
    is_abandoned = (table.status == JobStatus.RUNNING) & (ran_out | is_of_the_future)
    too_often = table.lost_leases >= MAX_LOST_LEASES
    error = WorkerLost(
        f"{MAX_LOST_LEASES + 1} workers stopped while they worked on this job. Look at the worker's "
        "log and memory, and whether the clocks of all machines agree, then retry it."
    )
    failed = {
        "status": JobStatus.FAILED,
        "stage": "failed",
        "error_code": error.code,
        "error_message": error.message,
        "lost_leases": table.lost_leases + 1,
        **_ending(table, now=now),
    }
    given_up = _count(session, table, _let_go(table, is_abandoned & too_often), failed)
    again = {**_waiting(table), "lost_leases": table.lost_leases + 1}
    requeued = _count(session, table, _let_go(table, is_abandoned), again)
    _shorten_waits(session, table, longest=now + dt.timedelta(seconds=max(BACKOFF_SECONDS)))
    return Swept(requeued, given_up, is_work_waiting=is_any_ready(session, table, now=now))


def _shorten_waits(session: Session, table: JobTable, *, longest: dt.datetime) -> None:
    """No job waits for its next attempt until after `longest`; a clock that was set back had it wait so."""
    is_too_long = (table.status == JobStatus.QUEUED) & (table.not_before > longest)
    _count(session, table, _let_go(table, is_too_long), {"not_before": longest})


def _let_go(table: JobTable, where: ColumnElement[bool]) -> ColumnElement[bool]:
    """`where`, but for jobs that another unit is just writing: whoever does that is alive.

    A sweep has many jobs in hand. If it waited for one, those that hold it could be waiting for the sweep.
    """
    return table.id.in_(select(table.id).where(where).with_for_update(skip_locked=True))


def _lease(now: dt.datetime, *, lease_seconds: float) -> dict[str, object]:
    return {"lease_renewed_at": now, "lease_expires_at": now + dt.timedelta(seconds=lease_seconds)}


def _held(table: JobTable, claim: Claim) -> ColumnElement[bool]:
    return (
        (table.id == claim.job_id) & (table.claim_token == claim.token) & (table.status == JobStatus.RUNNING)
    )


def _end(
    session: Session, table: JobTable, claim: Claim, *, now: dt.datetime, values: Mapping[str, object]
) -> None:
    if not _set(session, table, _held(table, claim), {**values, **_ending(table, now=now)}):
        raise ClaimLost("the job was cancelled or given to another worker.")


def _ending(table: JobTable, *, now: dt.datetime) -> dict[str, object]:
    return {
        "finished_at": now,
        "claim_token": None,
        "lease_renewed_at": None,
        "lease_expires_at": None,
        "rows_begun": 0,
        "sequence": table.sequence + 1,
    }


def _waiting(table: JobTable) -> dict[str, object]:
    return {
        "status": JobStatus.QUEUED,
        "stage": "waiting",
        "claim_token": None,
        "lease_renewed_at": None,
        "lease_expires_at": None,
        "rows_begun": 0,
        "sequence": table.sequence + 1,
    }


def _set(session: Session, table: JobTable, where: ColumnElement[bool], values: Mapping[str, object]) -> bool:
    return _count(session, table, where, values) > 0


def _count(
    session: Session, table: JobTable, where: ColumnElement[bool], values: Mapping[str, object]
) -> int:
    statement = update(table).where(where).values(dict(values))
    result = session.execute(statement, execution_options={"synchronize_session": False})
    assert isinstance(result, CursorResult)  # noqa: S101  # what an UPDATE answers, for the type checker
    return result.rowcount
