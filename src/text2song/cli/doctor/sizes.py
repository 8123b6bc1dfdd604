"""What each published size of MusicGen takes in memory, for whoever wants to know before fetching one."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from text2song.byte_sizes import size_words
from text2song.cli.doctor.at_hand import dtypes_at_hand, free_at_hand
from text2song.model.budget import limit_of
from text2song.model.footprint import Footprint, footprint_of
from text2song.model.published import PUBLISHED, PUBLISHED_PREFIX
from text2song.settings import Settings

_NAME_WIDTH: Final = max(map(len, PUBLISHED)) + 1


@dataclass(frozen=True, slots=True)
class SizeRow:
    """One published model in one dtype."""

    model: str
    dtype: str
    weights_bytes: int
    take_bytes: int
    """Of thirty seconds."""
    sound_bytes: int
    """While takes become sound, one piece at a time."""
    takes: int | None
    """That fit at once; None where the weights alone do not, or where nobody knows what is free."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """The table, for one device."""

    limit_bytes: int | None
    """What a model may take there."""
    is_set: bool
    """Whether a person set the limit."""
    dtypes: tuple[str, ...]
    rows: tuple[SizeRow, ...]

    def as_json(self) -> dict[str, Any]:
        """What `doctor --json` says of it."""
        rows = [asdict(row) for row in self.rows]
        return {"limit_bytes": self.limit_bytes, "is_set": self.is_set, "sizes": rows}

    def as_lines(self) -> list[str]:
        """A line for each size, and three columns for each dtype."""
        room = "" if self.limit_bytes is None else f" into {size_words(self.limit_bytes)}"
        lines = [
            f"MusicGen's sizes in GB of memory, and how many takes of 30 seconds fit{room} at once:",
            " " * _NAME_WIDTH + "".join(f"{dtype:>26}" for dtype in self.dtypes),
            " " * _NAME_WIDTH + f"{'weights':>14}{'take':>6}{'fit':>6}" * len(self.dtypes),
        ]
        for name in PUBLISHED:
            cells = [_cells(row) for row in self.rows if row.model == PUBLISHED_PREFIX + name]
            lines.append(f"{name:<{_NAME_WIDTH}}" + "".join(cells))
        return [*lines, f"{size_words(self.rows[0].sound_bytes)} are taken beside these while sound is made."]


def published_sizes(settings: Settings) -> Sizes:
    """Every published size in every dtype that the device of the settings computes in.

    Raises:
        ImportError, ModelUnsupported: the device is a GPU that cannot be asked.
    """
    limit_bytes = limit_of(set_bytes=settings.memory_limit, free_bytes=free_at_hand(settings))
    dtypes = dtypes_at_hand(settings)
    return Sizes(limit_bytes, settings.memory_limit is not None, dtypes, _rows(dtypes, limit_bytes))


def _rows(dtypes: Sequence[str], limit_bytes: int | None) -> tuple[SizeRow, ...]:
    return tuple(
        _row(PUBLISHED_PREFIX + name, dtype, footprint_of(configuration, dtype=dtype), limit_bytes)
        for name, configuration in PUBLISHED.items()
        for dtype in dtypes
    )


def _row(model: str, dtype: str, found: Footprint, limit_bytes: int | None) -> SizeRow:
    is_held = limit_bytes is not None and found.weights_bytes <= limit_bytes
    takes = found.rows_within(limit_bytes) if limit_bytes is not None and is_held else None
    return SizeRow(model, dtype, found.weights_bytes, found.row_bytes, found.rendering_bytes, takes)


def _cells(row: SizeRow) -> str:
    fit = "-" if row.takes is None else str(row.takes)
    return f"{row.weights_bytes / 1e9:>14.1f}{row.take_bytes / 1e9:>6.1f}{fit:>6}"
