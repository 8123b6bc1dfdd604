"""What a worker does when a bell rings, whatever rang it.

The runner knows no feature: the entrypoint hands it a handler for each kind of job.
"""

import datetime as dt
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import structlog
from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from text2song.errors import ClaimLost, StudioError, UnexpectedFailure
from text2song.jobs import lifecycle
from text2song.jobs.leases import Leases
from text2song.jobs.lifecycle import Claim, JobTable, Report
from text2song.jobs.order import is_any_ready
from text2song.jobs.queue import JobQueue

log = structlog.get_logger(__name__)


class JobUnit(Protocol):
    """One unit of work, as the entrypoint builds it: committed at its end, or rolled back."""

    @property
    def session(self) -> Session:
        """The unit's session."""
        ...

    @property
    def clock(self) -> Callable[[], dt.datetime]:
        """Now, in UTC."""
        ...

    def ring(self, kind: str) -> None:
        """Ring after the commit."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How often things happen; all in seconds."""

    lease_seconds: float = 15.0
    beat_seconds: float = 0.5
    slice_seconds: float = 60.0


class Handler(Protocol):
    """How one kind of job is done."""

    @property
    def table(self) -> JobTable:
        """Where the jobs are."""
        ...

    @property
    def capacity(self) -> int:
        """Rows that can be worked on at the same time."""
        ...

    def accepts(self) -> ColumnElement[bool]:
        """Which jobs this worker can do."""
        ...

    def run(self, claims: Sequence[Claim], leases: Leases, *, is_stopping: Callable[[], bool]) -> None:
        """Do one batch: as much as fits at the same time, then end each job or hand it back.

        A job that needs more than one batch is handed back after each (`lifecycle.hand_back`), so
        that others have their turn between. What is finished is saved when it is finished. Jobs whose
        lease is lost are left alone, and when the worker is stopping the runner hands back what is
        unfinished. An exception fails the jobs that are not over.
        """
        ...


class Runner:
    """Claims work and has it done, one batch after the other."""

    def __init__(
        self,
        work: Callable[[], AbstractContextManager[JobUnit]],
        queue: JobQueue,
        handlers: Mapping[str, Handler],
        *,
        worker: str,
        pace: Pace,
    ) -> None:
        self._work = work
        self._queue = queue
        self._handlers = handlers
        self._worker = worker
        self._pace = pace
        self._turns = {kind: threading.Lock() for kind in handlers}
        self._leaving = threading.Event()
        self._stopping = threading.Event()

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of jobs that this worker does."""
        return tuple(self._handlers)

    def leave(self) -> None:
        """Claim no more; what runs may end."""
        self._leaving.set()

    def stop(self) -> None:
        """Claim no more; what runs is handed back at the next frame."""
        self._leaving.set()
        self._stopping.set()

    def run(self, kind: str) -> bool:
        """Work until nothing waits or the slice is over; then ring again, so that other kinds get a turn.

        Answers whether there was anything to do. One thread at a time works on a kind: a second one
        waits, and then looks for itself.
        """
        handler = self._handlers[kind]
        has_worked = False
        with self._turns[kind]:
            until = time.monotonic() + self._pace.slice_seconds
            while not self._leaving.is_set():
                if time.monotonic() >= until:
                    self._queue.ring(kind)
                    break
                claims = self._claim(handler)
                if not claims:
                    break
                has_worked = True
                self._do(handler, claims)
        return has_worked

    def is_work_waiting(self, kind: str) -> bool:
        """Whether any job of this kind is ready, also one that this worker cannot do."""
        with self._work() as work:
            return is_any_ready(work.session, self._handlers[kind].table, now=work.clock())

    def sweep(self) -> None:
        """Look for abandoned and forgotten work of every kind, and ring where there is any."""
        for kind, handler in self._handlers.items():
            with self._work() as work:
                swept = lifecycle.sweep(work.session, handler.table, now=work.clock())
                if swept.is_work_waiting:
                    work.ring(kind)
            if swept.requeued or swept.given_up:
                log.warning("abandoned jobs", kind=kind, requeued=swept.requeued, given_up=swept.given_up)

    def _claim(self, handler: Handler) -> list[Claim]:
        """As many of the best waiting jobs as there are rows for; at least one if any waits."""
        claims: list[Claim] = []
        with self._work() as work:
            while (room := handler.capacity - sum(c.rows for c in claims)) > 0:
                claim = lifecycle.claim(
                    work.session,
                    handler.table,
                    worker=self._worker,
                    now=work.clock(),
                    lease_seconds=self._pace.lease_seconds,
                    where=handler.accepts(),
                    room=room if claims else None,
                )
                if claim is None:
                    break
                claims.append(claim)
        return claims

    def _do(self, handler: Handler, claims: list[Claim]) -> None:
        leases = Leases(
            lambda reports: self._beat(handler, reports),
            beat_seconds=self._pace.beat_seconds,
            lease_seconds=self._pace.lease_seconds,
        )
        leases.add(claims)
        with leases:
            try:
                handler.run(claims, leases, is_stopping=self._stopping.is_set)
            except Exception as error:  # noqa: BLE001  # whatever happens, the jobs get an end and a reason
                self._fail(handler, claims, error)
        if self._stopping.is_set():
            self._release(handler, claims)

    def _beat(self, handler: Handler, reports: Mapping[Claim, Report | None]) -> set[Claim]:
        with self._work() as work:
            return {
                claim
                # by id, as whoever has several jobs in hand takes them: no two units wait for each other
                for claim, report in sorted(reports.items(), key=lambda item: item[0].job_id)
                if not lifecycle.beat(
                    work.session,
                    handler.table,
                    claim,
                    now=work.clock(),
                    lease_seconds=self._pace.lease_seconds,
                    report=report,
                )
            }

    def _fail(self, handler: Handler, claims: Sequence[Claim], error: Exception) -> None:
        if isinstance(error, StudioError):
            reason = error
            log.warning("work failed", code=error.code, error=error.message)
        else:
            reason = UnexpectedFailure(
                f"the worker met an unexpected {type(error).__name__} ({error}). Its log tells more; retry "
                "the job, and report it if it happens again."
            )
            log.error("work failed unexpectedly", exc_info=error)
        for claim in claims:
            with self._work() as work:
                try:
                    lifecycle.fail(work.session, handler.table, claim, error=reason, now=work.clock())
                except ClaimLost:
                    continue  # it is over, or another's

    def _release(self, handler: Handler, claims: Sequence[Claim]) -> None:
        for claim in claims:
            with self._work() as work:
                lifecycle.release(work.session, handler.table, claim)
