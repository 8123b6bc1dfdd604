"""What a handler works in: it takes up jobs while it works, tells of them, and hears what is lost.

A shift lasts as long as there is work for it. It claims for the handler, one turn at a time and never more
than the handler asks for; it keeps what was claimed alive; and it ends claiming when the worker leaves, or
when other work waits for the same thread.
"""

import datetime as dt
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

import structlog
from sqlalchemy import ColumnElement, false
from sqlalchemy.orm import Session

from text2song import traces
from text2song.errors import ClaimLost, Unavailable
from text2song.jobs import lifecycle
from text2song.jobs.leases import Leases
from text2song.jobs.lifecycle import Claim, JobTable, Report

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


@dataclass(frozen=True, slots=True)
class Roster:
    """In whose name a shift claims, and when it ends."""

    worker: str
    pace: Pace
    is_leaving: Callable[[], bool]
    """Claim no more; what runs may end."""
    is_stopping: Callable[[], bool]
    """What runs is handed back at the next frame."""
    is_awaited: Callable[[], bool]
    """Whether other work waits for this thread, and it is its turn. May ask the database."""


class Shift:
    """The jobs that one handler has in hand.

    `next_turn` is for the handler's own thread; all else may be called from any.
    """

    def __init__(
        self,
        work: Callable[[], AbstractContextManager[JobUnit]],
        table: JobTable,
        accepts: Callable[[], ColumnElement[bool]],
        *,
        leases: Leases,
        roster: Roster,
    ) -> None:
        self._work = work
        self._table = table
        self._accepts = accepts
        self.leases = leases
        """What keeps the claims alive, while it is entered."""
        self._roster = roster
        self._spans: traces.Spans | None = None
        self._is_awaited = False
        self.has_claimed = False
        """Whether there was anything to do."""

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Each job that is taken up in here has its span, where traces are sent."""
        if not traces.is_on():
            yield
            return
        with traces.work(f"run {self._table.__tablename__}") as spans:
            self._spans = spans
            yield

    @property
    def claims(self) -> list[Claim]:
        """What is in hand: claimed and not dropped."""
        return self.leases.claims

    @property
    def worker(self) -> str:
        """In whose name it claims."""
        return self._roster.worker

    @property
    def beat_seconds(self) -> float:
        """How often it is worth while to look for more work where nothing has changed."""
        return self._roster.pace.beat_seconds

    @property
    def is_awaited(self) -> bool:
        """Whether the last look found that other work waits for this thread."""
        return self._is_awaited

    def is_closing(self) -> bool:
        """Whether nothing more is to be begun: what runs may end, and the rest is handed back."""
        return self._is_awaited or self._roster.is_leaving()

    def is_stopping(self) -> bool:
        """Whether what runs is to be left as it is, at the next frame."""
        return self._roster.is_stopping()

    def next_turn(self, held: Collection[Claim] = (), *, is_open: bool = True) -> Claim | None:
        """Whose row begins next, by priority, turn and age; its user counts as served.

        `held` are the jobs in hand that have rows to begin. The answer is one of them, or a job that waited
        and is in hand now, or None where there is neither, or nothing is to be begun any more. Where the
        shift is not `is_open`, what waits is left to others.

        Raises:
            Unavailable: the database is out of reach, and nothing is in hand. While something is, that is as
                if nothing waited: the next look may find more.
        """
        self._is_awaited = self._is_awaited or self._roster.is_awaited()
        if self.is_closing():
            return None
        try:
            return self._take_turn([claim for claim in held if not self.is_lost(claim)], is_open=is_open)
        except ClaimLost:  # between two beats: the next tells of it
            return None
        except Unavailable as error:
            if not self.claims:
                raise
            log.warning("cannot look for work", code=error.code, error=error.message)
            return None

    def report(self, claim: Claim, report: Report) -> None:
        """What people shall be told of the job; see `Leases.report`."""
        self.leases.report(claim, report)

    def is_lost(self, claim: Claim) -> bool:
        """Whether the job is no longer ours: leave it alone, and drop it."""
        return self.leases.is_lost(claim)

    def lose(self, claim: Claim) -> None:
        """The job was found to be another's, or nobody's."""
        self.leases.lose(claim)

    def drop(self, claim: Claim) -> None:
        """The job is over, or another's; to be said of every job."""
        self.leases.drop(claim)
        if self._spans is not None:
            self._spans.end(str(claim.job_id))

    def _take_turn(self, held: Collection[Claim], *, is_open: bool) -> Claim | None:
        accepted = self._accepts() if is_open else false()  # may ask the storage, so before the unit
        parent = None
        with self._work() as work:
            turn = lifecycle.take_turn(
                work.session,
                self._table,
                held,
                worker=self._roster.worker,
                now=work.clock(),
                lease_seconds=self._roster.pace.lease_seconds,
                where=accepted,
            )
            if turn is None or turn in held:
                return turn
            if self._spans is not None:
                parent = work.session.get_one(self._table, turn.job_id).trace_parent
        self.has_claimed = True
        self.leases.add([turn])
        if self._spans is not None:
            self._spans.begin(str(turn.job_id), parent)
        return turn
