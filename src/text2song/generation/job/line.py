"""Rows whose turn it is, where the batch has no room for them: who may go ahead of whom, and how often."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from text2song.generation.job.attempt import Row
from text2song.jobs.lifecycle import Claim
from text2song.music.spec import GenerationSpec

LOOK_AHEAD: Final = 4
"""So many smaller rows may enter before one that came first and does not fit; then all wait until it does.
Without a bound a stream of short takes would starve a long one, and without any half a machine would be idle
beside it."""


@dataclass(slots=True)
class _Waiting:
    row: Row
    passed: int = 0
    """Rows that came later and entered before it."""


class Line:
    """The rows that wait for room, in the order of their turns; nearly always one or none."""

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []

    @property
    def is_open(self) -> bool:
        """Whether another row may be drawn: one that nobody would have to wait for in vain."""
        return len(self._waiting) < LOOK_AHEAD and all(each.passed < LOOK_AHEAD for each in self._waiting)

    def add(self, row: Row) -> None:
        """It is this row's turn."""
        self._waiting.append(_Waiting(row))

    def take(self, fits: Callable[[GenerationSpec], bool]) -> Row | None:
        """The first row that may enter, out of the line; None where each has to wait."""
        for index, each in enumerate(self._waiting):
            if fits(each.row.spec):
                for earlier in self._waiting[:index]:
                    earlier.passed += 1
                return self._waiting.pop(index).row
            if each.passed >= LOOK_AHEAD:
                return None
        return None

    def drop(self, claim: Claim) -> int:
        """Take the rows of this job out; answers how many there were."""
        before = len(self._waiting)
        self._waiting = [each for each in self._waiting if each.row.claim != claim]
        return before - len(self._waiting)
