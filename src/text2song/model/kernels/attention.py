"""Attention of single queries over their own memories: softmax(q k / sqrt(D)) v, and the writing of k and v.

Each query reads one memory of its own length from end to end: nothing is padded to another's length, nothing
is masked, and memory answers as fast as it can. Sums are in float32 whatever the memory holds.

A *table* says where each query's memory is. It is made once for each step and serves every layer.

Legend: A heads, D head width, L layers, S steps that a memory holds, n of them in use.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import torch
from torch import Tensor

from text2song.model.kernels.lanes import BFLOAT16_BYTES, FLOAT_BYTES, LINE_BYTES, Kernel, Value
from text2song.model.kernels.machine import Compiled, address_of, compiled
from text2song.model.kernels.team import share

_MOST_LANES: Final = 16
_FETCHED_STEPS: Final = 128
"""Of the next memory, what is asked for beforehand: then the processor has seen where it leads."""
_BASE, _LAYER, _VALUES, _HEAD, _LENGTH = range(0, 40, 8)
"""Where a row of the table has what, in bytes."""
_ROW: Final = 40


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Where the memories of some queries are, and how far each is read."""

    rows: Tensor
    """By query: the address of the first layer's keys, bytes from layer to layer, from keys to values and
    from head to head, and the length n. [queries, 5] of int64."""
    memories: tuple[Tensor, ...]
    """Kept, because `rows` has addresses only."""
    longest: int

    @classmethod
    def of(cls, memories: Sequence[Tensor], lengths: Sequence[int]) -> "Table":
        """By query its memory, keys and values as [L, 2, A, S, D], and n.

        Raises:
            ValueError: a length beyond its memory, several dtypes, or a step that is not in one piece.
        """
        rows = []
        for memory, length in zip(memories, lengths, strict=True):
            if not 0 < length <= memory.shape[-2] or memory.dtype != memories[0].dtype:
                raise ValueError(f"{length} steps of {memory.dtype} in a memory of {memory.shape[-2]}")
            layer, values, head, step, number = memory.stride()
            if (step, number) != (memory.shape[-1], 1):
                raise ValueError(f"a memory whose steps are not behind each other: strides {memory.stride()}")
            strides = [stride * memory.itemsize for stride in (layer, values, head)]
            rows.append((memory.data_ptr(), *strides, length))
        return cls(torch.tensor(rows, dtype=torch.int64), tuple(memories), max(lengths))

    def require(self, queries: Tensor) -> torch.dtype:
        """The memories' dtype, if they are as many and have the heads of `queries` [queries, ..., A, D].

        Raises:
            ValueError: they do not.
        """
        first = self.memories[0]
        if len(queries) != len(self.memories) or queries.shape[-2:] != (first.shape[2], first.shape[4]):
            raise ValueError(
                f"queries {tuple(queries.shape)} for {len(self.memories)} of {tuple(first.shape)}"
            )
        return first.dtype


def remember(qkv: Tensor, table: Table, *, layer: int) -> None:
    """Write each row's keys and values as the last of its memory: float32 rows [queries, 3, A, D]."""
    queries, _, heads, width = qkv.shape
    run = _remember(width, table.require(qkv))
    run(address_of(qkv), table.rows.data_ptr(), queries, heads, layer)


def attend(query: Tensor, table: Table, *, layer: int) -> Tensor:
    """What each query reads: float32 [queries, A, D], of which a query's heads lie behind each other.

    Queries may lie apart from each other, as those in a tensor of queries, keys and values do.
    """
    queries, heads, width = query.shape
    address_of(query[0])  # each of them by itself is in one piece
    memory = table.require(query)
    out = torch.empty(queries, heads, width, dtype=torch.float32)
    run = _attend(width, memory)
    query_bytes = query.stride(0) * FLOAT_BYTES

    def part(first: int, end: int) -> None:
        scores = torch.empty(table.longest + _MOST_LANES, dtype=torch.float32)
        run(
            query.data_ptr(),
            query_bytes,
            table.rows.data_ptr(),
            out.data_ptr(),
            scores.data_ptr(),
            heads,
            layer,
            first,
            end,
        )

    head_bytes = 2 * table.longest * width * memory.itemsize
    share(part, units=queries * heads, unit_bytes=head_bytes)
    return out


class _Memory:
    """One head's keys or values in a kernel."""

    def __init__(self, kernel: Kernel, dtype: torch.dtype, width: int) -> None:
        self._kernel = kernel
        self._is_half = dtype == torch.bfloat16
        self.lanes = _lanes(width)
        self.vectors = width // self.lanes
        self.number_bytes = BFLOAT16_BYTES if self._is_half else FLOAT_BYTES
        self.step_bytes = width * self.number_bytes

    def read(self, at: Value) -> list[Value]:
        """One step's numbers."""
        read = self._kernel.bfloat16s if self._is_half else self._kernel.floats
        return [read(self._kernel.plus(at, self._offset(v)), self.lanes) for v in range(self.vectors)]

    def write(self, at: Value, vectors: Sequence[Value]) -> None:
        """The same, written."""
        write = self._kernel.store_bfloat16 if self._is_half else self._kernel.store
        for v, vector in enumerate(vectors):
            write(vector, self._kernel.plus(at, self._offset(v)))

    def fetch(self, first: Value, step: Value) -> None:
        """Have a step brought that is read soon, if it is among the first."""
        near = self._kernel.fewer(step, _FETCHED_STEPS)
        at = self._kernel.plus(first, self._kernel.times(near, self.step_bytes))
        for line in range(-(-self.step_bytes // LINE_BYTES)):
            self._kernel.fetch(self._kernel.plus(at, line * LINE_BYTES))

    def _offset(self, vector: int) -> int:
        return vector * self.lanes * self.number_bytes


def _lanes(width: int) -> int:
    """As many as divide a head's width, up to the widest register's."""
    lanes = _MOST_LANES
    while width % lanes:
        lanes //= 2
    return lanes


def _keys_at(kernel: Kernel, row: Value, layer: Value, head: Value) -> Value:
    """The address of a head's first key, from a row of the table."""

    def field(offset: int) -> Value:
        return kernel.number_at(kernel.plus(row, offset))

    return kernel.plus(field(_BASE), kernel.times(field(_LAYER), layer), kernel.times(field(_HEAD), head))


@cache
def _remember(width: int, dtype: torch.dtype) -> Compiled:
    kernel = Kernel("remember", "qkv_at", "table_at", "queries", "heads", "layer")
    qkv_at, table_at, queries, heads, layer = kernel.inputs
    memory, floats = _Memory(kernel, dtype, width), _Memory(kernel, torch.float32, width)
    part_bytes = kernel.times(heads, floats.step_bytes)
    with kernel.loop(0, queries) as query, kernel.loop(0, heads) as head:
        row = kernel.plus(table_at, kernel.times(query.index, _ROW))
        length = kernel.number_at(kernel.plus(row, _LENGTH))
        last = kernel.times(kernel.plus(length, -1), memory.step_bytes)
        key = kernel.plus(_keys_at(kernel, row, layer, head.index), last)
        value = kernel.plus(key, kernel.number_at(kernel.plus(row, _VALUES)))
        mine = kernel.plus(
            qkv_at,
            kernel.times(kernel.times(query.index, 3), part_bytes),
            kernel.times(head.index, floats.step_bytes),
        )
        memory.write(key, floats.read(kernel.plus(mine, part_bytes)))
        memory.write(value, floats.read(kernel.plus(mine, part_bytes, part_bytes)))
    return compiled(kernel)


@cache
def _attend(width: int, dtype: torch.dtype) -> Compiled:
    """Of the heads of all queries, counted through, those from `first` to before `end`."""
    kernel = Kernel(
        "attend",
        "query_at",
        "query_bytes",
        "table_at",
        "out_at",
        "scores_at",
        "heads",
        "layer",
        "first",
        "end",
    )
    query_at, query_bytes, table_at, out_at, scores_at, heads, layer, first, end = kernel.inputs
    memory, floats = _Memory(kernel, dtype, width), _Memory(kernel, torch.float32, width)
    with kernel.loop(first, end) as unit:
        query, head = kernel.divided(unit.index, heads)
        row = kernel.plus(table_at, kernel.times(query, _ROW))
        length = kernel.number_at(kernel.plus(row, _LENGTH))
        keys = _keys_at(kernel, row, layer, head)
        values = kernel.plus(keys, kernel.number_at(kernel.plus(row, _VALUES)))
        asked_at = kernel.plus(
            query_at, kernel.times(query, query_bytes), kernel.times(head, floats.step_bytes)
        )
        scale = kernel.constant(width**-0.5, memory.lanes)
        asked = [kernel.multiply(vector, scale) for vector in floats.read(asked_at)]
        _score(kernel, memory, asked, keys, scores_at, length, soon=values)
        total = _exponentiate(kernel, scores_at, length)
        next_keys = kernel.plus(keys, kernel.number_at(kernel.plus(row, _HEAD)))
        read = _weigh(kernel, memory, values, scores_at, length, soon=next_keys)
        share_of = kernel.divide(kernel.constant(1.0, memory.lanes), kernel.splat(total, memory.lanes))
        made = [kernel.multiply(vector, share_of) for vector in read]
        floats.write(kernel.plus(out_at, kernel.times(unit.index, floats.step_bytes)), made)
    return compiled(kernel)


def _score(
    kernel: Kernel,
    memory: _Memory,
    asked: Sequence[Value],
    keys: Value,
    scores_at: Value,
    length: Value,
    soon: Value,
) -> None:
    """How well each key answers; filled up to a whole vector with what counts as nothing."""
    kernel.store(
        kernel.constant(-math.inf, _MOST_LANES), kernel.plus(scores_at, kernel.times(length, FLOAT_BYTES))
    )
    with kernel.loop(0, length) as step:
        offset = kernel.times(step.index, memory.step_bytes)
        memory.fetch(soon, step.index)
        key = memory.read(kernel.plus(keys, offset))
        answer = kernel.multiply(asked[0], key[0])
        for mine, its in zip(asked[1:], key[1:], strict=True):
            answer = kernel.fma(mine, its, answer)
        kernel.store(kernel.total(answer), kernel.plus(scores_at, kernel.times(step.index, FLOAT_BYTES)))


def _exponentiate(kernel: Kernel, scores_at: Value, length: Value) -> Value:
    """Scores to e**(score - largest), in place; answers their sum."""
    lanes = _MOST_LANES
    vectors, _ = kernel.divided(kernel.plus(length, lanes - 1), kernel.whole(lanes))

    def at(index: Value) -> Value:
        return kernel.plus(scores_at, kernel.times(index, lanes * FLOAT_BYTES))

    with kernel.loop(0, vectors, carried=[kernel.constant(-math.inf, lanes)]) as loop:
        loop.next = [kernel.larger(loop.carried[0], kernel.floats(at(loop.index), lanes))]
    largest = kernel.splat(kernel.largest(loop.carried[0]), lanes)
    with kernel.loop(0, vectors, carried=[kernel.constant(0.0, lanes)]) as loop:
        shifted = kernel.subtract(kernel.floats(at(loop.index), lanes), largest)
        power = kernel.exponential(shifted)
        kernel.store(power, at(loop.index))
        loop.next = [kernel.add(loop.carried[0], power)]
    return kernel.total(loop.carried[0])


def _weigh(
    kernel: Kernel, memory: _Memory, values: Value, scores_at: Value, length: Value, *, soon: Value
) -> list[Value]:
    """The sum of all values, each times its score."""
    zeros = [kernel.constant(0.0, memory.lanes)] * memory.vectors
    with kernel.loop(0, length, carried=zeros) as step:
        weight = kernel.everywhere(
            kernel.plus(scores_at, kernel.times(step.index, FLOAT_BYTES)), memory.lanes
        )
        offset = kernel.times(step.index, memory.step_bytes)
        memory.fetch(soon, step.index)
        value = memory.read(kernel.plus(values, offset))
        step.next = [kernel.fma(weight, its, total) for its, total in zip(value, step.carried, strict=True)]
    return step.carried
