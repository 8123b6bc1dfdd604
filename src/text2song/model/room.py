"""How many rows fit beside each other: by what memory is given, and by what was seen to run out."""

from typing import Final

CLEAN_ROWS: Final = 16
"""Rows that must be composed after memory ran out before one more at a time is tried again."""


class Room:
    """Of one model, for as long as it is loaded."""

    def __init__(self, *, rows: int, budget_bytes: int | None = None) -> None:
        """`rows` at most, whose memory together is at most `budget_bytes`; None for no such limit."""
        self._most_rows = rows
        self._budget_bytes = budget_bytes
        self._rows = rows
        self._clean_rows = 0

    @property
    def rows(self) -> int:
        """Rows that may be composed at the same time: fewer for a while after memory ran out."""
        return self._rows

    def holds(self, *, rows: int, taken_bytes: int, more_bytes: int) -> bool:
        """Whether one more row that takes `more_bytes` fits beside `rows` that take `taken_bytes`."""
        if not rows:
            return True
        return rows < self._rows and self.has_bytes(taken_bytes + more_bytes)

    def has_bytes(self, needed: int) -> bool:
        """Whether so many are within the budget."""
        return self._budget_bytes is None or needed <= self._budget_bytes

    def pinch(self, *, rows: int) -> None:
        """Memory ran out with so many rows: one less from now on."""
        self._rows = max(1, min(self._rows, rows - 1))
        self._clean_rows = 0

    def row_composed(self) -> None:
        """A row came to its end; after enough of them what took the memory may be gone."""
        self._clean_rows += 1
        if self._clean_rows >= CLEAN_ROWS:
            self._rows = min(self._most_rows, self._rows + 1)
            self._clean_rows = 0
