"""What rows on a GPU remember, in one place, and steps of all of them, recorded once and replayed.

A step is hundreds of small operations, and on a GPU starting each costs more than it does. CUDA can record
them and replay the recording at once, but a recording always reads and writes the same addresses in the same
shapes. So rows there live in the *slots* of one memory, and a recording steps the first 1, 2, 4, ... slots,
over the first so many steps of their memories; where a slot is empty or a memory shorter, it computes what
nobody reads. What a recording cannot do, columns that are known and rows with adapters, goes the way of every
other device: a slot is a row's memory like any other.

Legend: B slots that are stepped, streams 2 of each slot (one that reads the sentence and one that reads
nothing), A heads, D head width, L layers, S steps, E tokens of the sentence, K codebooks, V codes.
"""

import heapq
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
import torch.nn.functional as F  # noqa: N812  # the name that every torch program gives it
from torch import Tensor

from text2song.model.attention import Attention
from text2song.model.shapes import DecoderShape
from text2song.model.track import Company, Track

Forward = Callable[[Tensor, Company, Attention], Tensor]
"""The decoder: the tokens of each reader's column [N, K] to logits, stream after stream of each row."""
Replay = Callable[[], Tensor]
Record = Callable[[Replay], Replay]
"""Runs something once, and answers what does the same again, into the same tensors."""

FEWEST_STEPS: Final = 256
"""Steps of the shortest memory that has a recording of its own; each longer one has twice as many."""


class Arena:
    """The memory of so many rows; all of it is allocated at once."""

    def __init__(
        self,
        shape: DecoderShape,
        *,
        rows: int,
        steps: int,
        tokens: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        """For rows of at most `steps` steps, whose sentences have at most `tokens` tokens."""
        head = (shape.heads, steps, shape.head_width)
        self.memory = torch.zeros(shape.layers, 2, 2 * rows, *head, dtype=dtype, device=device)
        self.cross = self.memory.new_zeros(shape.layers, 2, rows, shape.heads, tokens, shape.head_width)
        self.rows, self.steps, self.tokens = rows, steps, tokens
        self._free = list(range(rows))
        self._slot_of: weakref.WeakKeyDictionary[Track, int] = weakref.WeakKeyDictionary()

    def open_track(self, *, steps: int, tokens: int, streams: int) -> Track | None:
        """A row's memory in the first free slot, its sentence still to come; None where there is no place."""
        if not self._free or not self.fits(steps=steps, tokens=tokens):
            return None
        slot = heapq.heappop(self._free)
        # What is not seen is multiplied by zero, and what the last row left could be infinite.
        self.memory[:, :, 2 * slot : 2 * slot + 2] = 0
        self.cross[:, :, slot] = 0
        track = Track(
            memory=self.memory[:, :, 2 * slot : 2 * slot + streams],
            cross=self.cross[:, :, slot, :, :tokens],
            updates=None,
        )
        self._slot_of[track] = slot
        weakref.finalize(track, heapq.heappush, self._free, slot).atexit = False
        return track

    def fits(self, *, steps: int, tokens: int) -> bool:
        """Whether a row of that size has its place in a slot."""
        return steps <= self.steps and tokens <= self.tokens

    @property
    def size_bytes(self) -> int:
        """Of all slots."""
        return self.memory.nbytes + self.cross.nbytes

    @property
    def taken(self) -> set[int]:
        """The slots that have a row."""
        return set(self._slot_of.values())

    def slots_of(self, tracks: Sequence[Track]) -> list[int] | None:
        """Where they are; None where not all of them are here."""
        found = [self._slot_of.get(track) for track in tracks]
        return [slot for slot in found if slot is not None] if None not in found else None


class Recorder:
    """Steps of an arena's rows, each kind of which is recorded when it is first wanted."""

    def __init__(self, arena: Arena, *, forward: Forward, record: Record, codebooks: int) -> None:
        self._arena = arena
        self._forward = forward
        self._record = record
        device = arena.memory.device
        self._tokens = torch.zeros(arena.rows, codebooks, dtype=torch.int64, device=device)
        self._positions = torch.zeros(arena.rows, dtype=torch.int64, device=device)
        self._words = torch.ones(arena.rows, dtype=torch.int64, device=device)
        self._recordings: dict[tuple[int, int], Replay] = {}

    def step(self, columns: Sequence[Tensor], *, tracks: Sequence[Track]) -> list[Tensor] | None:
        """Each row's logits [G, K V] until the next step, if a recording can do this one; None if not.

        Moves no row on.
        """
        slots = self._arena.slots_of(tracks)
        if slots is None or any(len(column) > 1 for column in columns) or any(t.updates for t in tracks):
            return None
        rows = at_least(max(slots) + 1, first=1, most=self._arena.rows)
        if any(slot < rows for slot in self._arena.taken.difference(slots)):
            return None  # a recording would write over a row that is not in this step
        seen = 1 + max(track.step for track in tracks)
        steps = at_least(seen, first=FEWEST_STEPS, most=self._arena.steps)
        self._fill(slots, columns, tracks)
        if (rows, steps) not in self._recordings:
            self._recordings[rows, steps] = self._record(lambda: self._run(rows, steps))
        logits = self._recordings[rows, steps]().view(rows, 2, -1)
        return [logits[slot, : track.streams] for slot, track in zip(slots, tracks, strict=True)]

    def _fill(self, slots: Sequence[int], columns: Sequence[Tensor], tracks: Sequence[Track]) -> None:
        """Say what the next replay reads; of empty slots it reads what was there."""
        there = torch.tensor(slots)
        for numbers, filled in (
            (torch.cat(list(columns)), self._tokens),
            (torch.tensor([track.step for track in tracks]), self._positions),
            (torch.tensor([track.cross.shape[-2] for track in tracks]), self._words),
        ):
            filled[there.to(filled.device)] = numbers.to(filled.device)

    def _run(self, rows: int, steps: int) -> Tensor:
        """One step of the first slots: what is recorded."""
        device = self._tokens.device
        readers = torch.arange(rows, device=device)
        company = Company(
            order=(),
            places=(),
            readers=rows,
            sources=readers.repeat(2),
            positions=self._positions[:rows],
            last=torch.stack([readers, readers + rows], 1).flatten(),  # slot by slot
            runs=(),
            reading_runs=(),
        )
        # An empty slot may remember a step that this recording does not have.
        positions = self._positions[:rows].clamp(max=steps - 1)
        attention = _InSlots(self._arena, positions=positions, words=self._words[:rows], steps=steps)
        return self._forward(self._tokens[:rows], company, attention)


def at_least(number: int, *, first: int, most: int) -> int:
    """The smallest of `first`, twice that, and so on up to `most`, that is no smaller than `number`."""
    size = first
    while size < number:
        size *= 2
    return min(size, most)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What of a memory a query reads; all shapes are those of torch's attention."""

    places: Tensor
    """Where the new step goes: [2 B, A, 1, D]."""
    steps: Tensor
    """[2 B, 1, 1, S]."""
    words: Tensor
    """[B, 1, 1, E]."""


class _InSlots:
    """Implements `Attention` over the first slots of an arena, by masks."""

    def __init__(self, arena: Arena, *, positions: Tensor, words: Tensor, steps: int) -> None:
        """`positions` and `words` are [B], and `steps` is how much of the memories is read."""
        self._arena = arena
        self._rows = len(positions)
        self._steps = steps
        _, _, _, heads, _, width = arena.memory.shape
        by_stream = positions[:, None].expand(-1, 2).reshape(-1, 1, 1, 1)  # [2 B, 1, 1, 1]
        device = positions.device
        self._seen = _Seen(
            places=by_stream.expand(2 * self._rows, heads, 1, width),
            steps=torch.arange(steps, device=device) <= by_stream,
            words=torch.arange(arena.tokens, device=device) < words[:, None, None, None],
        )

    def past(self, qkv: Tensor, *, layer: int) -> Tensor:
        """See `Attention`."""
        by_slot = qkv.view(2, self._rows, *qkv.shape[1:]).transpose(0, 1).flatten(0, 1)  # [2 B, 3, A, D]
        query, key, value = by_slot[:, :, :, None].unbind(1)  # [2 B, A, 1, D] each
        keys, values = self._arena.memory[layer][:, : 2 * self._rows]  # [2 B, A, S, D] each
        keys.scatter_(2, self._seen.places, key)
        values.scatter_(2, self._seen.places, value)
        made = F.scaled_dot_product_attention(
            query, keys[:, :, : self._steps], values[:, :, : self._steps], attn_mask=self._seen.steps
        )  # [2 B, A, 1, D]
        by_slot = made.view(self._rows, 2, *query.shape[1:2], -1)  # [B, 2, A, D]
        return by_slot.transpose(0, 1).flatten(0, 1)

    def sentence(self, query: Tensor, *, layer: int) -> Tensor:
        """See `Attention`."""
        keys, values = self._arena.cross[layer][:, : self._rows]  # [B, A, E, D] each
        made = F.scaled_dot_product_attention(query[:, :, None], keys, values, attn_mask=self._seen.words)
        return made[:, :, 0]


class CudaRecordings:
    """Makes CUDA graphs on one GPU. They share the memory that they need in between: one runs at a time."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool: Any = None

    def __call__(self, run: Replay) -> Replay:
        """A graph of what `run` does, after rounds that let its libraries prepare themselves."""
        with torch.cuda.device(self._device):
            aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch has no types here
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(2):
                    run()
            torch.cuda.current_stream().wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool, stream=aside):
                made = run()
            self._pool = self._pool or graph.pool()

        def replay() -> Tensor:
            with torch.cuda.device(self._device):
                graph.replay()
            return made

        return replay
