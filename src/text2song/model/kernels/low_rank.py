"""What adapters add to a product's rows, in place: y + (x @ down.T) @ up.T, in float32.

Both factors are read once for each row, from end to end; a row's bits depend on nothing but itself.

Legend: R rows, I input features, O output features, r rank, filled up with zeros to whole vectors.
"""

from functools import cache
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812  # the name that every torch program gives it
from torch import Tensor

from text2song.model.kernels.lanes import FLOAT_BYTES, Kernel, Value
from text2song.model.kernels.machine import Compiled, address_of, compiled

_LANES: Final = 16
_RANK_LANES: Final = 8
"""Inner numbers that are summed at a time: few, since adapters have few."""
_STRANDS: Final = 4
"""Sums that grow beside each other, because one waits for its last addition longer than a load takes."""
_OUTPUTS: Final = 64
"""Outputs that are summed at a time."""


class LowRank:
    """Two factors, laid out for this processor: `down` [r, I] and `up` [O, r]."""

    def __init__(self, *, down: Tensor, up: Tensor) -> None:
        self._outputs, self._inputs = len(up), down.shape[1]
        ranks, width = -len(down) % _RANK_LANES, -len(up) % _OUTPUTS
        self._down = F.pad(down.float().T, (0, ranks)).contiguous()  # [I, r]
        self._up = F.pad(up.float().T, (0, width)).contiguous()  # [r, O]
        self._rank = len(self._up)

    def add_to(self, y: Tensor, x: Tensor, rows: Tensor) -> None:
        """Add to the named rows of `y` [R, O] what comes of the same rows of `x` [R, I].

        All that are named must be there: nobody looks.

        Raises:
            ValueError: the tensors are not as wide as the factors, or `rows` is no list of int64.
        """
        is_list = rows.dtype == torch.int64 and rows.is_contiguous()
        if (y.shape[1], x.shape[1], is_list) != (self._outputs, self._inputs, True):
            raise ValueError(f"rows of {x.shape[1]} and {y.shape[1]} for {self._inputs} and {self._outputs}")
        if self._up.shape[1] != self._outputs:
            wide = F.pad(y, (0, self._up.shape[1] - self._outputs))
            self._run(wide, x, rows)
            y.copy_(wide[:, : self._outputs])
        else:
            self._run(y, x, rows)

    def _run(self, y: Tensor, x: Tensor, rows: Tensor) -> None:
        inner = torch.empty(self._down.shape[1], dtype=torch.float32)
        _kernel()(
            rows.data_ptr(),
            len(rows),
            address_of(x),
            address_of(y),
            self._down.data_ptr(),
            self._up.data_ptr(),
            inner.data_ptr(),
            self._inputs,
            self._down.shape[1] // _RANK_LANES,
            self._rank,
            y.shape[1] // _OUTPUTS,
        )


@cache
def _kernel() -> Compiled:
    kernel = Kernel(
        "low_rank",
        "rows_at",
        "rows",
        "x_at",
        "y_at",
        "down_at",
        "up_at",
        "inner_at",
        "inputs",
        "rank_vectors",
        "rank",
        "output_blocks",
    )
    rows_at, rows, x_at, y_at, down_at, up_at, inner_at, inputs, rank_vectors, rank, output_blocks = (
        kernel.inputs
    )
    vector = _LANES * FLOAT_BYTES
    down_bytes, up_bytes = (
        kernel.times(rank_vectors, _RANK_LANES * FLOAT_BYTES),
        kernel.times(output_blocks, _OUTPUTS * FLOAT_BYTES),
    )
    with kernel.loop(0, rows) as each:
        row = kernel.number_at(kernel.plus(rows_at, kernel.times(each.index, 8)))
        x = kernel.plus(x_at, kernel.times(kernel.times(row, inputs), FLOAT_BYTES))
        y = kernel.plus(y_at, kernel.times(row, up_bytes))
        with kernel.loop(0, rank_vectors) as some:
            offset = kernel.times(some.index, _RANK_LANES * FLOAT_BYTES)
            total = _inner(kernel, x, kernel.plus(down_at, offset), inputs, down_bytes)
            kernel.store(total, kernel.plus(inner_at, offset))
        with kernel.loop(0, output_blocks) as block:
            offset = kernel.times(block.index, _OUTPUTS * FLOAT_BYTES)
            here = [kernel.plus(y, offset, v * vector) for v in range(_OUTPUTS // _LANES)]
            sums = [kernel.constant(0.0, _LANES) for _ in here]
            with kernel.loop(0, rank, carried=sums) as loop:
                at = kernel.plus(up_at, kernel.times(loop.index, up_bytes), offset)
                number = kernel.everywhere(
                    kernel.plus(inner_at, kernel.times(loop.index, FLOAT_BYTES)), _LANES
                )
                factors = [kernel.floats(kernel.plus(at, v * vector), _LANES) for v in range(len(here))]
                loop.next = [
                    kernel.fma(number, factor, total)
                    for factor, total in zip(factors, loop.carried, strict=True)
                ]
            for place, total in zip(here, loop.carried, strict=True):
                kernel.store(kernel.add(kernel.floats(place, _LANES), total), place)
    return compiled(kernel)


def _inner(kernel: Kernel, x: Value, column: Value, inputs: Value, down_bytes: Value) -> Value:
    """A row's inner numbers, one vector of them: the sum over its inputs in four strands, then over those."""

    def summed(number: Value, total: Value) -> Value:
        mine = kernel.everywhere(kernel.plus(x, kernel.times(number, FLOAT_BYTES)), _RANK_LANES)
        factor = kernel.floats(kernel.plus(column, kernel.times(number, down_bytes)), _RANK_LANES)
        return kernel.fma(mine, factor, total)

    rounds, rest = kernel.divided(inputs, kernel.whole(_STRANDS))
    with kernel.loop(0, rounds, carried=[kernel.constant(0.0, _RANK_LANES)] * _STRANDS) as loop:
        first = kernel.times(loop.index, _STRANDS)
        loop.next = [summed(kernel.plus(first, strand), total) for strand, total in enumerate(loop.carried)]
    strands = loop.carried
    with kernel.loop(kernel.plus(inputs, kernel.times(rest, -1)), inputs, carried=strands[:1]) as last:
        last.next = [summed(last.index, last.carried[0])]
    lower, upper = kernel.add(last.carried[0], strands[1]), kernel.add(strands[2], strands[3])
    return kernel.add(lower, upper)
