"""The heartbeat of claimed jobs, in a thread of its own.

The work (drawing codes, rendering sound, loading a model) never waits for the database, and the
database never waits for the work: whatever the worker is busy with, its leases are renewed and a
cancel is heard within one beat.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from types import TracebackType
from typing import Final, Self

import structlog

from text2song.jobs.lifecycle import Claim, Report

log = structlog.get_logger(__name__)

PROGRESS_STEP: Final = 0.01
"""What is worth a beat's while to tell. Each report wakes whoever waits for the job: a hundred times in an
attempt is enough, however long it takes and however often it beats."""

Beat = Callable[[Mapping[Claim, Report | None]], Collection[Claim]]
"""Renews these leases in one unit, and stores what is new of each; answers the claims that are lost."""


class Leases:
    """The claims of one shift, kept alive until each is dropped or the `with` block ends."""

    def __init__(self, beat: Beat, *, beat_seconds: float, lease_seconds: float) -> None:
        self._beat = beat
        self._beat_seconds = beat_seconds
        self._lease_seconds = lease_seconds
        self._renewed: dict[Claim, float] = {}
        self._reports: dict[Claim, Report] = {}
        self._sent: dict[Claim, Report] = {}
        self._lost: set[Claim] = set()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
        self._is_beating = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closed.set()
        if self._is_beating:
            self._thread.join()

    @property
    def claims(self) -> list[Claim]:
        """Those that were added and not dropped, lost ones too."""
        return list(self._renewed)

    def add(self, claims: Iterable[Claim]) -> None:
        """Keep these alive too."""
        now = time.monotonic()
        self._renewed |= dict.fromkeys(claims, now)
        if not self._is_beating:  # whoever looks and finds nothing needs no thread
            self._is_beating = True
            self._thread.start()

    def drop(self, claim: Claim) -> None:
        """The job is over, and nothing of it is kept: a shift may last for weeks."""
        self._renewed.pop(claim, None)
        self._reports.pop(claim, None)
        self._sent.pop(claim, None)
        self._lost.discard(claim)

    def report(self, claim: Claim, report: Report) -> None:
        """What the next beat shall carry, if it is news: another stage, or a step of progress."""
        self._reports[claim] = report

    def is_lost(self, claim: Claim) -> bool:
        """Whether the job is no longer ours: cancelled, given away, or we were silent for too long.

        Asked of the clock too, so that a beat which hangs in the database hides nothing.
        """
        renewed = self._renewed.get(claim)
        if renewed is not None and time.monotonic() - renewed >= self._lease_seconds:
            self.lose(claim)
        return claim in self._lost

    def lose(self, claim: Claim) -> None:
        """The job was found to be another's, or nobody's."""
        self._lost.add(claim)

    def _run(self) -> None:
        while not self._closed.wait(self._beat_seconds):
            held = [claim for claim in list(self._renewed) if not self.is_lost(claim)]
            if held:
                self._renew(held)

    def _renew(self, held: Collection[Claim]) -> None:
        began = time.monotonic()
        reports = {claim: self._reports.get(claim) for claim in held}
        news = {
            claim: report if _is_news(report, self._sent.get(claim)) else None
            for claim, report in reports.items()
        }
        try:
            lost = self._beat(news)
        except Exception as error:  # noqa: BLE001  # a database that is down now may be up at the next beat
            log.warning("beat failed", jobs=len(held), error=str(error))
            return
        for claim in held:
            if claim not in self._renewed:  # over meanwhile
                continue
            if claim in lost:
                self.lose(claim)
            else:
                self._renewed[claim] = began
                if (report := news[claim]) is not None:
                    self._sent[claim] = report


def _is_news(report: Report | None, told: Report | None) -> bool:
    if report is None or told is None:
        return report is not told
    return report.stage != told.stage or abs(report.progress - told.progress) >= PROGRESS_STEP
