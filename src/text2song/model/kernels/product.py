"""Products of few rows with a large weight, at the speed at which memory brings the weight.

A weight [O, I] is laid out in blocks of some outputs: a block holds the weights of all its outputs for the
first input, then for the second, and so on. So a block is read once from end to end, each vector of it is
multiplied with one number of each row, and each output is summed in one lane, in the order of the inputs.
That order does not depend on how many rows there are: a row's bits are the same in any company.

Weights are float32, bfloat16, or whole numbers of 8 bits with a scale for each output. Rows are float32; for
bfloat16 weights, on processors that multiply pairs of bfloat16 in one instruction, they are rounded to
bfloat16 first.

Legend: R rows, I input features, O output features.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

import torch
import torch.nn.functional as F  # noqa: N812  # the name that every torch program gives it
from torch import Tensor

from text2song.model.kernels.lanes import FLOAT_BYTES, LINE_BYTES, Kernel, Value
from text2song.model.kernels.machine import (
    Compiled,
    compiled,
    has_wide_registers,
    multiplies_bfloat16_pairs,
)
from text2song.model.kernels.team import share

LANES: Final = 16
_ROWS: Final = 4
"""Rows of one pass over a block: as many as leave their sums in registers."""
_PIECE_BYTES: Final = 2**16
"""Of a block, what is read at once for all rows: it stays near the processor until the last had it."""
_INT8_MAX: Final = 127

Numbers = Literal["float32", "pairs", "widened pairs", "int8"]
"""How a kernel reads: `pairs` of bfloat16 multiplied as they are, or widened to float32 first."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the weights and the rows of a product lie in memory, and so how they are read."""

    numbers: Numbers
    vectors: int
    """Of a block's outputs."""

    @property
    def outputs(self) -> int:
        """Of a block."""
        return self.vectors * LANES

    @property
    def inputs(self) -> int:
        """Input features that are read in one round."""
        return 2 if "pairs" in self.numbers else 1

    @property
    def vector_bytes(self) -> int:
        """Of the weights of one vector of outputs in one round."""
        return LANES * (1 if self.numbers == "int8" else 4)

    @property
    def round_bytes(self) -> int:
        """Of the weights of a block in one round."""
        return self.vectors * self.vector_bytes

    @property
    def row_bytes(self) -> int:
        """Of one row in one round."""
        return 8 if self.numbers == "widened pairs" else 4


def few_rows(weight: Tensor) -> Callable[[Tensor], Tensor]:
    """`x @ weight.T` for a weight [O, I]: float32 rows [R, I] to [R, O].

    Raises:
        ValueError: the weight is neither float32 nor bfloat16; later, rows are not float32 or not as wide.
    """
    if weight.dtype == torch.float32:
        return _product(weight, _Layout("float32", _vectors()))
    if weight.dtype != torch.bfloat16:
        raise ValueError(f"there is no product by {weight.dtype}")
    pairs: Numbers = "pairs" if multiplies_bfloat16_pairs() else "widened pairs"
    return _product(weight, _Layout(pairs, _vectors()))


def few_rows_int8(weight: Tensor) -> Callable[[Tensor], Tensor]:
    """The same with the weight rounded to 8 bits, by a scale for each output; the rows are not rounded."""
    scales = weight.float().abs().amax(1, keepdim=True).clamp_(min=torch.finfo(torch.float32).tiny)
    scales /= _INT8_MAX  # [O, 1]
    multiply = _product(torch.round(weight.float() / scales).to(torch.int8), _Layout("int8", _vectors()))
    scales = scales[:, 0].contiguous()
    return lambda x: multiply(x).mul_(scales)


def _vectors() -> int:
    """As many as leave registers for the sums of four rows."""
    return 4 if has_wide_registers() else 1


def _in_blocks(weight: Tensor, layout: _Layout) -> Tensor:
    """[O, I] to [blocks, rounds, outputs of a block, inputs of a round], filled up with zeros."""
    rounds = weight.shape[1] // layout.inputs
    full, rest = divmod(len(weight), layout.outputs)
    laid = torch.empty((full + bool(rest), rounds, layout.outputs, layout.inputs), dtype=weight.dtype)
    whole = weight[: full * layout.outputs].view(full, layout.outputs, rounds, layout.inputs)
    laid[:full].copy_(whole.transpose(1, 2))
    if rest:
        last = laid[full].zero_()
        last[:, :rest] = weight[-rest:].view(rest, rounds, layout.inputs).transpose(0, 1)
    return laid


def _product(weight: Tensor, layout: _Layout) -> Callable[[Tensor], Tensor]:
    outputs, inputs = weight.shape
    if inputs % layout.inputs:
        weight = F.pad(weight, (0, 1))
    blocks = _in_blocks(weight.contiguous(), layout)
    count, rounds, width, _ = blocks.shape
    block_bytes = rounds * layout.round_bytes

    def multiply(x: Tensor) -> Tensor:
        rows = len(x)
        if x.dtype != torch.float32 or x.shape[1] != inputs:
            raise ValueError(
                f"rows of {x.shape[1]} {x.dtype} for a weight of {inputs} inputs: they are float32"
            )
        run = _kernel(layout, fetches=not 2 < rows <= _ROWS)
        if inputs % layout.inputs:
            x = F.pad(x, (0, 1))
        x = (x.bfloat16() if layout.numbers == "pairs" else x).contiguous()
        y = torch.zeros(rows, count * width, dtype=torch.float32)  # [R, O], and what fills the last block

        def part(first: int, end: int) -> None:
            run(x.data_ptr(), blocks.data_ptr(), y.data_ptr(), rows, rounds, count, first, end)

        share(part, units=count, unit_bytes=block_bytes * max(1, rows // _ROWS))
        return y if outputs == y.shape[1] else y[:, :outputs].contiguous()

    return multiply


# --- The kernel --------------------------------------------------------------------------------


@cache
def _kernel(layout: _Layout, *, fetches: bool) -> Compiled:
    """Of the blocks from `first` to before `end`, add to the outputs of all rows.

    Where several passes go over each piece, a later one leaves memory time to bring the next. With one pass
    of 3 or 4 rows, asking for it beforehand made the product slower; with one or two rows, faster
    (docs/journal.md).
    """
    kernel = Kernel("few_rows", "rows_at", "blocks_at", "out_at", "rows", "rounds", "blocks", "first", "end")
    rows_at, blocks_at, out_at, rows, rounds, blocks, first, end = kernel.inputs
    most = _PIECE_BYTES // layout.round_bytes
    pieces, _ = kernel.divided(kernel.plus(rounds, most - 1), kernel.whole(most))
    whole, rest = kernel.divided(rows, kernel.whole(_ROWS))
    pairs, single = kernel.divided(rest, kernel.whole(2))
    with kernel.loop(first, end) as block, kernel.loop(0, pieces) as piece:
        begin = kernel.times(piece.index, most)
        here = _Piece(
            weights_at=kernel.plus(
                blocks_at,
                kernel.times(kernel.plus(kernel.times(block.index, rounds), begin), layout.round_bytes),
            ),
            rounds=kernel.fewer(kernel.plus(rounds, kernel.times(begin, -1)), most),
            rows_at=kernel.plus(rows_at, kernel.times(begin, layout.row_bytes)),
            row_bytes=kernel.times(rounds, layout.row_bytes),
            out_at=kernel.plus(out_at, kernel.times(block.index, layout.outputs * FLOAT_BYTES)),
            out_row_bytes=kernel.times(blocks, layout.outputs * FLOAT_BYTES),
        )
        with kernel.loop(0, whole) as four:
            _add_rows(kernel, layout, here, kernel.times(four.index, _ROWS), _ROWS, fetches=fetches)
        with kernel.loop(0, pairs):
            _add_rows(kernel, layout, here, kernel.times(whole, _ROWS), 2, fetches=fetches)
        with kernel.loop(0, single):
            _add_rows(kernel, layout, here, kernel.plus(rows, -1), 1, fetches=fetches)
    return compiled(kernel)


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some rounds of one block, and where all rows have their numbers and their sums."""

    weights_at: Value
    rounds: Value
    rows_at: Value
    row_bytes: Value
    out_at: Value
    out_row_bytes: Value


def _add_rows(
    kernel: Kernel, layout: _Layout, piece: _Piece, row: Value, count: int, *, fetches: bool
) -> None:
    """One pass over a piece: add to the sums of `count` rows from `row` on."""
    first_row = kernel.plus(piece.rows_at, kernel.times(row, piece.row_bytes))
    first_out = kernel.plus(piece.out_at, kernel.times(row, piece.out_row_bytes))
    places = [
        kernel.plus(first_out, kernel.times(piece.out_row_bytes, number), vector * LANES * FLOAT_BYTES)
        for number in range(count)
        for vector in range(layout.vectors)
    ]
    soon = kernel.plus(piece.weights_at, kernel.times(piece.rounds, layout.round_bytes))
    with kernel.loop(0, piece.rounds, carried=[kernel.floats(at, LANES) for at in places]) as loop:
        offset = kernel.times(loop.index, layout.round_bytes)
        weights_at = kernel.plus(piece.weights_at, offset)
        if fetches:
            _fetch(kernel, kernel.plus(soon, offset), layout.round_bytes, row)
        weights = [
            _read(kernel, layout.numbers, kernel.plus(weights_at, layout.vector_bytes * vector))
            for vector in range(layout.vectors)
        ]
        in_row = kernel.plus(first_row, kernel.times(loop.index, layout.row_bytes))
        inputs = [
            _inputs(kernel, layout, kernel.plus(in_row, kernel.times(piece.row_bytes, number)))
            for number in range(count)
        ]
        products = [(mine, weight) for mine in inputs for weight in weights]
        loop.next = [
            _summed(kernel, layout.numbers, *factors, total)
            for factors, total in zip(products, loop.carried, strict=True)
        ]
    for total, at in zip(loop.carried, places, strict=True):
        kernel.store(total, at)


def _fetch(kernel: Kernel, at: Value, round_bytes: int, row: Value) -> None:
    """Have half of the lines brought that this round of the next piece reads: in turn, by the first row."""
    lines = max(1, round_bytes // LINE_BYTES)
    half = max(1, lines // 2)
    _, turn = kernel.divided(row, kernel.whole(2 * _ROWS))
    start = kernel.times(turn, half * LINE_BYTES // _ROWS if lines > 1 else 0)
    for line in range(half):
        kernel.fetch(kernel.plus(at, start, line * LINE_BYTES))


def _read(kernel: Kernel, numbers: Numbers, at: Value) -> tuple[Value, ...]:
    """One vector of weights: for each of the inputs of a round one, or all in one."""
    if numbers == "float32":
        return (kernel.floats(at, LANES),)
    if numbers == "int8":
        return (kernel.signed_bytes(at, LANES),)
    pairs = kernel.bits(at, LANES)
    return (pairs,) if numbers == "pairs" else kernel.bfloat16_pairs(pairs)


def _inputs(kernel: Kernel, layout: _Layout, at: Value) -> tuple[Value, ...]:
    """A row's numbers of one round, each in every lane."""
    if layout.numbers == "pairs":
        return (kernel.bits_everywhere(at, LANES),)
    places = [kernel.plus(at, number * FLOAT_BYTES) for number in range(layout.inputs)]
    return tuple(kernel.everywhere(place, LANES) for place in places)


def _summed(
    kernel: Kernel, numbers: Numbers, inputs: Sequence[Value], weights: Sequence[Value], total: Value
) -> Value:
    if numbers == "pairs":
        return kernel.add_pairs(inputs[0], weights[0], total)
    for number, weight in zip(inputs, weights, strict=True):
        total = kernel.fma(number, weight, total)
    return total
