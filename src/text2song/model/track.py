"""What the decoder remembers of a row, and where the rows of one step stand.

Legend: B rows, G streams of one row (1 or 2), n columns of one row, N columns of all rows, R columns of all
streams, A heads, D head width, L layers, S steps, E tokens of the sentence.

    rows      first         second
    columns   a b           c              N = 3
    streams   a b | a b     c | c          R = 6, the stream that reads a sentence first
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from text2song.model.lora import Updates


@dataclass(slots=True, eq=False)
class Track:
    """What the decoder remembers of one row; made by `Decoder.open_track`."""

    memory: Tensor
    """Keys and values of every step so far: [L, 2, G, A, S, D]."""
    cross: tuple[tuple[Tensor, Tensor], ...]
    """By layer, keys and values of the sentence: [1, A, E, D]."""
    updates: Updates | None
    """What the row's adapters add to the weights."""
    step: int = 0
    """Steps done: the position of the next one."""

    @property
    def streams(self) -> int:
        """G: 2 under guidance, else 1."""
        return int(self.memory.shape[2])

    def rewind(self) -> None:
        """Forget every step; the sentence stays."""
        self.step = 0


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where one row stands in a step."""

    track: Track
    columns: slice
    """Among the N columns of all rows."""
    streams: slice
    """Among the R columns of all streams: [G, n]."""
    steps: slice
    """Which steps of the row's memory its columns become."""
    is_seen: Tensor | None
    """Where it has several columns, which steps each of them sees: [n, S]."""

    @property
    def count(self) -> int:
        """How many columns it has: n."""
        return int(self.columns.stop - self.columns.start)


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Rows of a product, beside each other, whose adapters are the same."""

    updates: Updates
    rows: slice


@dataclass(frozen=True, slots=True, eq=False)
class Company:
    """The rows of one step; all tensors are indices beside the weights."""

    places: tuple[Place, ...]
    sources: Tensor
    """By stream's column, the column that it is fed with: [R], from 0 to N - 1."""
    positions: Tensor
    """By column, its position: [N]."""
    readers: Tensor
    """By column, where it stands in the stream that reads the sentence: [N], from 0 to R - 1."""
    last: Tensor
    """By row and stream, its last column: [B G], from 0 to R - 1."""
    runs: tuple[Run, ...]
    """Over the R columns of all streams."""
    reading_runs: tuple[Run, ...]
    """Over the N columns that read a sentence."""

    @classmethod
    def of(cls, tracks: Sequence[Track], *, counts: Sequence[int], device: torch.device) -> "Company":
        """Rows of so many columns each, in the order given."""
        places = tuple(_places(tracks, counts, device))
        sources: list[int] = []
        positions: list[int] = []
        readers: list[int] = []
        last: list[int] = []
        for place in places:
            columns, start = range(place.columns.start, place.columns.stop), place.streams.start
            sources += [*columns] * place.track.streams
            positions += range(place.steps.start, place.steps.stop)
            readers += range(start, start + place.count)
            last += [start + (g + 1) * place.count - 1 for g in range(place.track.streams)]
        return cls(
            places=places,
            sources=torch.tensor(sources, device=device),
            positions=torch.tensor(positions, device=device),
            readers=torch.tensor(readers, device=device),
            last=torch.tensor(last, device=device),
            runs=tuple(_runs([(place.track.updates, place.streams) for place in places])),
            reading_runs=tuple(_runs([(place.track.updates, place.columns) for place in places])),
        )

    @property
    def counts(self) -> tuple[int, ...]:
        """By row, n."""
        return tuple(place.count for place in self.places)


def _places(tracks: Sequence[Track], counts: Sequence[int], device: torch.device) -> Iterator[Place]:
    column = stream = 0
    for track, count in zip(tracks, counts, strict=True):
        end = track.step + count
        is_seen = None
        if count > 1:
            is_seen = torch.ones(count, end, dtype=torch.bool, device=device).tril(track.step)
        yield Place(
            track=track,
            columns=slice(column, column + count),
            streams=slice(stream, stream + track.streams * count),
            steps=slice(track.step, end),
            is_seen=is_seen,
        )
        column += count
        stream += track.streams * count


def _runs(owned: Sequence[tuple[Updates | None, slice]]) -> Iterator[Run]:
    for _, group in groupby(owned, key=lambda each: id(each[0])):
        run = list(group)
        (updates, first), (_, last) = run[0], run[-1]
        if updates is not None:
            yield Run(updates, slice(first.start, last.stop))
