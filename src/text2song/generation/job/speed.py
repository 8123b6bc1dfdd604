"""How fast a worker is, learnt from what it makes."""

import time
from typing import Final

MEMORY: Final = 0.7
"""Share of the earlier estimate that each new measurement leaves standing."""


class Speed:
    """Seconds of audio that are made in a second of work.

    Measured over so many takes as a full batch has, since each that ends left its neighbours half-made and
    found others so; or over fewer, where there was no more to do. Time in which no row was there is no work.
    """

    def __init__(self, *, takes: int) -> None:
        self._takes = takes
        self._began: float | None = None
        self._ended = 0
        self._made_seconds = 0.0
        self.measured: float | None = None
        """None before the first take."""

    def begin(self) -> None:
        """A row entered: work began, if it had not."""
        if self._began is None:
            self._began = time.monotonic()

    def end(self, made_seconds: float) -> None:
        """A row had its end, with so much audio; 0 where it failed."""
        self._ended += 1
        self._made_seconds += made_seconds
        if self._ended >= self._takes:
            self._learn()

    def rest(self) -> None:
        """No row is there any more."""
        self._learn()
        self._began = None

    def _learn(self) -> None:
        now = time.monotonic()
        if self._began is not None and self._made_seconds:
            new = self._made_seconds / max(now - self._began, 1e-6)
            old = new if self.measured is None else self.measured
            self.measured = MEMORY * old + (1 - MEMORY) * new
        self._began, self._ended, self._made_seconds = now, 0, 0.0
