"""What adapters add to a product's rows, in place: y + (x @ down.T) @ up.T, in float32.

Both factors are read once for each row, from end to end; a row's bits depend on nothing but itself.

Legend: R rows, I input features, O output features, r rank, filled up with zeros to whole vectors.
"""

from functools import cache
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812  # the name that every torch program gives it
from torch import Tensor

from text2song.model.kernels.lanes import FLOAT_BYTES, Kernel
from text2song.model.kernels.machine import Compiled, compiled

_LANES: Final = 16
_OUTPUTS: Final = 64
"""Outputs that are summed at a time."""


class LowRank:
    """Two factors, laid out for this processor: `down` [r, I] and `up` [O, r]."""

    def __init__(self, *, down: Tensor, up: Tensor) -> None:
        self._outputs, self._inputs = len(up), down.shape[1]
        ranks, width = -len(down) % _LANES, -len(up) % _OUTPUTS
        self._down = F.pad(down.float().T, (0, ranks)).contiguous()  # [I, r]
        self._up = F.pad(up.float().T, (0, width)).contiguous()  # [r, O]
        self._rank = len(self._up)

    def add_to(self, y: Tensor, x: Tensor, rows: Tensor) -> None:
        """Add to the rows of `y` [R, O] that are named what comes of the same rows of `x` [R, I]."""
        if self._up.shape[1] != self._outputs:
            wide = F.pad(y, (0, self._up.shape[1] - self._outputs))
            self._run(wide, x, rows)
            y.copy_(wide[:, : self._outputs])
        else:
            self._run(y, x, rows)

    def _run(self, y: Tensor, x: Tensor, rows: Tensor) -> None:
        inner = torch.empty(self._down.shape[1])
        _kernel()(
            rows.data_ptr(),
            len(rows),
            x.data_ptr(),
            y.data_ptr(),
            self._down.data_ptr(),
            self._up.data_ptr(),
            inner.data_ptr(),
            self._inputs,
            self._down.shape[1] // _LANES,
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
        kernel.times(rank_vectors, vector),
        kernel.times(output_blocks, _OUTPUTS * FLOAT_BYTES),
    )
    zero = kernel.constant(0.0, _LANES)
    with kernel.loop(0, rows) as each:
        row = kernel.number_at(kernel.plus(rows_at, kernel.times(each.index, 8)))
        x = kernel.plus(x_at, kernel.times(kernel.times(row, inputs), FLOAT_BYTES))
        y = kernel.plus(y_at, kernel.times(row, up_bytes))
        with kernel.loop(0, rank_vectors) as some:
            column = kernel.plus(down_at, kernel.times(some.index, vector))
            with kernel.loop(0, inputs, carried=[zero]) as loop:
                number = kernel.everywhere(kernel.plus(x, kernel.times(loop.index, FLOAT_BYTES)), _LANES)
                factor = kernel.floats(kernel.plus(column, kernel.times(loop.index, down_bytes)), _LANES)
                loop.next = [kernel.fma(number, factor, loop.carried[0])]
            kernel.store(loop.carried[0], kernel.plus(inner_at, kernel.times(some.index, vector)))
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
