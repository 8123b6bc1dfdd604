"""What the decoder remembers of a row, and where the rows of one step stand.

Legend: B rows, G streams of one row (1 or 2), n columns of one row, N columns of all rows, R columns of all
streams, A heads, D head width, L layers, S steps, E tokens of the sentence.

Streams that read a sentence come first, then the null streams of guided rows in the same order. Guided rows
come first, so a row's two streams are always N columns apart, and what only readers need is the beginning:

    rows      first (guided)   second (guided)   third
    readers   a b              c                 d        N = 4
    nulls     a b              c                          R = 7
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from text2song.model.lora import Updates


@dataclass(slots=True, eq=False, weakref_slot=True)
class Track:
    """What the decoder remembers of one row; made by `Decoder.open_track`."""

    memory: Tensor
    """Keys and values of every step so far: [L, 2, G, A, S, D]."""
    cross: Tensor
    """Keys and values of the sentence: [L, 2, A, E, D]."""
    updates: Updates | None
    """What the row's adapters add to the weights."""
    step: int = 0
    """Steps done: the position of the next one."""

    @property
    def streams(self) -> int:
        """G: 2 under guidance, else 1."""
        return self.memory.shape[2]

    def rewind(self) -> None:
        """Forget every step; the sentence stays."""
        self.step = 0


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where one row stands in a step."""

    track: Track
    columns: slice
    """Among the N columns of all readers."""
    streams: slice
    """Where it has one column: that column in each of its streams, among the R columns of all."""
    is_seen: Tensor | None
    """Where it has several, which steps each of them sees: [n, S]."""

    @property
    def count(self) -> int:
        """How many columns it has: n."""
        return int(self.columns.stop - self.columns.start)


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Rows of a product whose adapters are the same."""

    updates: Updates
    rows: Tensor
    """Indices, beside the weights."""


@dataclass(frozen=True, slots=True, eq=False)
class Company:
    """The rows of one step; all tensors are indices beside the weights."""

    order: tuple[int, ...]
    """Which of the rows that were given stands at each place."""
    places: tuple[Place, ...]
    readers: int
    """N."""
    sources: Tensor
    """By stream's column, the reader's column that it is fed with: [R]."""
    positions: Tensor
    """By reader's column, its position: [N]."""
    last: Tensor
    """By row as it was given and stream, its last column: [B G]."""
    runs: tuple[Run, ...]
    """Over the R columns of all streams."""
    reading_runs: tuple[Run, ...]
    """Over the N columns of the readers."""

    @classmethod
    def of(cls, tracks: Sequence[Track], *, counts: Sequence[int], device: torch.device) -> "Company":
        """Rows of so many columns each."""

        def indices(found: Sequence[int]) -> Tensor:
            return torch.tensor(found, device=device)

        order = sorted(range(len(tracks)), key=lambda row: (-tracks[row].streams, id(tracks[row].updates)))
        readers = sum(counts)
        places = tuple(_places(order, tracks, counts, device))
        columns = [range(place.columns.start, place.columns.stop) for place in places]
        nulls = [each for place, each in zip(places, columns, strict=True) if place.track.streams == 2]
        sources = [*range(readers), *(column for each in nulls for column in each)]
        place_of = dict(zip(order, places, strict=True))
        last = [
            place_of[row].columns.stop - 1 + stream * readers
            for row in range(len(tracks))
            for stream in range(tracks[row].streams)
        ]
        steps = [range(place.track.step, place.track.step + place.count) for place in places]
        return cls(
            order=tuple(order),
            places=places,
            readers=readers,
            sources=indices(sources),
            positions=indices([step for each in steps for step in each]),
            last=indices(last),
            runs=tuple(_runs(places, lambda place: _columns_of(place, readers), indices)),
            reading_runs=tuple(
                _runs(places, lambda place: _columns_of(place, readers)[: place.count], indices)
            ),
        )

    def by_stream(self, place: Place, x: Tensor) -> Tensor:
        """A row's part of [R, ...], stream by stream: [G, n, ...]."""
        if place.count == 1:
            return x[place.streams].unsqueeze(1)
        return torch.stack([x[columns] for columns in self._slices(place)])

    def put(self, place: Place, part: Tensor, *, into: Tensor) -> None:
        """The inverse: a row's [G, n, ...] at its places in [R, ...]."""
        if place.count == 1:
            into[place.streams] = part[:, 0]
            return
        for columns, stream in zip(self._slices(place), part, strict=True):
            into[columns] = stream

    def _slices(self, place: Place) -> Iterator[slice]:
        """A row's columns among all R, stream by stream."""
        for stream in range(place.track.streams):
            shift = stream * self.readers
            yield slice(place.columns.start + shift, place.columns.stop + shift)


def _places(
    order: Sequence[int], tracks: Sequence[Track], counts: Sequence[int], device: torch.device
) -> Iterator[Place]:
    column, readers = 0, sum(counts)
    for row in order:
        track, count = tracks[row], counts[row]
        is_seen = None
        if count > 1:
            is_seen = torch.ones(count, track.step + count, dtype=torch.bool, device=device).tril(track.step)
        end = column + 1 + readers * (track.streams - 1)
        yield Place(track, slice(column, column + count), slice(column, end, readers), is_seen)
        column += count


def _columns_of(place: Place, readers: int) -> list[int]:
    """A row's columns among all R, its reader's first."""
    columns = range(place.columns.start, place.columns.stop)
    return [column + stream * readers for stream in range(place.track.streams) for column in columns]


def _runs(
    places: Sequence[Place],
    columns_of: Callable[[Place], list[int]],
    indices: Callable[[Sequence[int]], Tensor],
) -> Iterator[Run]:
    by_set: dict[int, list[Place]] = {}
    for place in places:
        by_set.setdefault(id(place.track.updates), []).append(place)
    for alike in by_set.values():
        updates = alike[0].track.updates
        if updates is not None:
            yield Run(updates, indices([column for place in alike for column in columns_of(place)]))
