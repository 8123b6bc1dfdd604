"""What a worker does when a bell rings, whatever rang it.

The runner knows no feature: the entrypoint hands it a handler for each kind of job.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Protocol

import structlog
from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from text2song.errors import ClaimLost, StudioError, UnexpectedFailure
from text2song.jobs import lifecycle
from text2song.jobs.leases import Leases
from text2song.jobs.lifecycle import Claim, JobTable, Report
from text2song.jobs.order import is_any_ready
from text2song.jobs.patience import patiently
from text2song.jobs.queue import JobQueue
from text2song.jobs.shift import JobUnit, Pace, Roster, Shift

log = structlog.get_logger(__name__)


class Handler(Protocol):
    """How one kind of job is done."""

    @property
    def table(self) -> JobTable:
        """Where the jobs are."""
        ...

    def accepts(self) -> ColumnElement[bool]:
        """Which jobs this worker can do."""
        ...

    def run(self, shift: Shift) -> None:
        """Take up jobs and work on them until nothing is in hand and nothing waits.

        What is finished is saved when it is finished, and a job that is over is dropped. Jobs whose claim is
        lost are left alone. When the shift is closing nothing more is begun, and when it is stopping what
        runs is left as it is: the runner hands back what is in hand when this returns. An exception fails the
        jobs that are not over.
        """
        ...


class Runner:
    """Has work done as long as there is any, one shift after the other."""

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

    def run(self, kind: str, *, beside: Collection[str] = ()) -> bool:
        """Work until nothing waits. Answers whether there was anything to do.

        `beside` names the kinds that the calling thread has to do too: once the slice is over and one of
        them waits, this one begins nothing more, rings for what is left, and returns. One thread at a time
        works on a kind: a second one waits, and then looks for itself.
        """
        handler = self._handlers[kind]
        has_worked = False
        with self._turns[kind]:
            is_awaited = self._is_awaited_by({other for other in beside if other != kind})
            while not self._leaving.is_set():
                shift = self._open_shift(handler, is_awaited)
                has_given_back = self._work_a_shift(handler, shift)
                has_worked = has_worked or shift.has_claimed
                if shift.is_awaited:
                    self._queue.ring(kind)
                    break
                if (
                    has_given_back or not shift.has_claimed
                ):  # what it could not go on with now, a sweep rings for
                    break
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

    def _is_awaited_by(self, kinds: Collection[str]) -> Callable[[], bool]:
        """Whether the slice that begins now is over, and this worker could claim a job of these kinds."""
        until = time.monotonic() + self._pace.slice_seconds

        def is_ready(kind: str) -> bool:
            handler = self._handlers[kind]
            accepted = handler.accepts()
            with self._work() as work:
                return is_any_ready(work.session, handler.table, now=work.clock(), where=accepted)

        return lambda: time.monotonic() >= until and any(is_ready(kind) for kind in sorted(kinds))

    def _open_shift(self, handler: Handler, is_awaited: Callable[[], bool]) -> Shift:
        leases = Leases(
            lambda reports: self._beat(handler, reports),
            beat_seconds=self._pace.beat_seconds,
            lease_seconds=self._pace.lease_seconds,
        )
        roster = Roster(
            self._worker, self._pace, self._leaving.is_set, self._stopping.is_set, is_awaited=is_awaited
        )
        return Shift(self._work, handler.table, handler.accepts, leases=leases, roster=roster)

    def _work_a_shift(self, handler: Handler, shift: Shift) -> bool:
        """Answers whether anything in hand was given back."""
        with shift.leases:
            try:
                with shift.at_work():
                    handler.run(shift)
            except Exception as error:
                if not shift.claims:
                    raise  # it found no work, and that for a reason: nobody is harmed
                self._fail(handler, shift.claims, error)
                return False
            return self._give_back(handler, shift)

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

    def _give_back(self, handler: Handler, shift: Shift) -> bool:
        """What is in hand goes back to those that wait, if it is ours; answers whether there was any."""
        in_hand = shift.claims
        for claim in in_hand:
            if self._stopping.is_set():
                self._put_back(handler, claim, lifecycle.release)
            else:
                put_back = partial(self._put_back, handler, claim, lifecycle.hand_back)
                patiently(put_back, is_over=self._stopping.is_set)
            shift.drop(claim)
        return bool(in_hand)

    def _put_back(
        self, handler: Handler, claim: Claim, act: Callable[[Session, JobTable, Claim], None]
    ) -> None:
        with self._work() as work:
            act(work.session, handler.table, claim)
