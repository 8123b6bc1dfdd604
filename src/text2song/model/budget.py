"""What a model may take of a device's memory, and how many rows that is. Needs no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from text2song.byte_sizes import size_words
from text2song.errors import OutOfMemory
from text2song.model.configuration import ModelConfiguration
from text2song.model.footprint import Footprint, footprint_of
from text2song.model.free_memory import usable_bytes

MANY_ROWS: Final = 10**6
"""Where nobody can say what is free, memory sets no bound: what does not fit then shows when it runs out."""


def limit_of(*, set_bytes: int | None, free_bytes: int | None) -> int | None:
    """What a model may take: what a person set, else a share of what is free; None where nobody can say."""
    if set_bytes is not None:
        return set_bytes
    return None if free_bytes is None else usable_bytes(free_bytes)


@dataclass(frozen=True, slots=True)
class Budget:
    """Of one model in one dtype."""

    configuration: ModelConfiguration
    dtype: str
    limit_bytes: int | None
    """Of everything: weights, sound, rows. None where nobody can say."""
    is_set: bool
    """Whether a person set the limit; else it is a share of what is free."""

    @classmethod
    def of(
        cls,
        configuration: ModelConfiguration,
        *,
        dtype: str,
        set_bytes: int | None,
        free_bytes: int | None,
    ) -> "Budget":
        """Under a limit that a person set, or else by what the device has free."""
        limit_bytes = limit_of(set_bytes=set_bytes, free_bytes=free_bytes)
        return cls(configuration, dtype, limit_bytes, is_set=set_bytes is not None)

    @property
    def footprint(self) -> Footprint:
        """What the model takes."""
        return footprint_of(self.configuration, dtype=self.dtype)

    @property
    def rows_bytes(self) -> int | None:
        """What rows may take together."""
        return None if self.limit_bytes is None else self.footprint.left_for_rows(self.limit_bytes)

    @property
    def rows(self) -> int:
        """Ordinary rows that fit; 0 where not even one does."""
        return MANY_ROWS if self.limit_bytes is None else self.footprint.rows_within(self.limit_bytes)

    def capacity(self, wanted: int) -> int:
        """Rows of a batch: as many as are wanted and fit; one is always tried."""
        return max(1, min(wanted, self.rows))

    def require_weights(self, model: str, *, dtypes: Sequence[str]) -> None:
        """The weights fit. `dtypes` are those in which this device computes.

        Raises:
            OutOfMemory: they do not, with the figures and what can be done.
        """
        needed = self.footprint.weights_bytes
        if self.limit_bytes is None or needed <= self.limit_bytes:
            return
        smaller = [(dtype, footprint_of(self.configuration, dtype=dtype).weights_bytes) for dtype in dtypes]
        fitting = [f"{dtype} ({size_words(size)})" for dtype, size in smaller if size <= self.limit_bytes]
        ways = [
            "serve a smaller model",
            *([f"set TEXT2SONG_DTYPE to {' or '.join(fitting)}"] if fitting else ()),
        ]
        limit, last = size_words(self.limit_bytes), "close other programs"
        allowed = f"of what is free, a model may take {limit}"
        if self.is_set:
            allowed, last = f"TEXT2SONG_MEMORY_LIMIT allows {limit}", "raise that limit"
        raise OutOfMemory(
            f"The weights of {model} take {size_words(needed)} in {self.dtype}; {allowed}. "
            f"You can {', '.join(ways)}, or {last}."
        )
