"""Each word of the language beside what it means, on vectors of every width that kernels use."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from text2song.model.kernels.lanes import Kernel, Value
from text2song.model.kernels.machine import compiled

WIDTHS = (1, 2, 4, 8, 16)
Floats = NDArray[np.float32]


def run(kernel: Kernel, *arguments: NDArray[np.generic] | int) -> None:
    compiled(kernel)(*(a if isinstance(a, int) else a.ctypes.data for a in arguments))


def mapped(x: Floats, write: Callable[[Kernel, Value], Value]) -> Floats:
    """What a kernel makes of one vector."""
    kernel = Kernel("mapped", "x_at", "y_at")
    x_at, y_at = kernel.inputs
    kernel.store(write(kernel, kernel.floats(x_at, len(x))), y_at)
    y = np.full_like(x, np.nan)
    run(kernel, x, y)
    return y


@pytest.mark.parametrize("lanes", WIDTHS)
def test_an_exponential_is_within_two_last_bits(lanes: int) -> None:
    for start in np.linspace(-87, 0, 400, dtype=np.float32):
        x = np.minimum(np.linspace(start, start + 0.2, lanes, dtype=np.float32), np.float32(0))
        expected = np.exp(x.astype(np.float64))
        found = mapped(x, lambda kernel, vector: kernel.exponential(vector))
        assert (np.abs(found - expected) <= 2 * np.spacing(expected.astype(np.float32))).all(), x


def test_far_below_zero_an_exponential_is_next_to_nothing() -> None:
    x = np.array([-1e30, -500, -88, -87], np.float32)
    found = mapped(x, lambda kernel, vector: kernel.exponential(vector))
    assert ((found > 0) & (found < 2e-38)).all()


@pytest.mark.parametrize("lanes", WIDTHS)
def test_lanes_are_added_by_halves_and_compared(lanes: int) -> None:
    x = np.random.default_rng(lanes).standard_normal(lanes).astype(np.float32)
    halves = x
    while len(halves) > 1:
        halves = halves[: len(halves) // 2] + halves[len(halves) // 2 :]
    total = mapped(x, lambda kernel, vector: kernel.splat(kernel.total(vector), lanes))
    largest = mapped(x, lambda kernel, vector: kernel.splat(kernel.largest(vector), lanes))
    assert (total == halves[0]).all()
    assert (largest == x.max()).all()


def test_a_product_and_a_sum_are_rounded_once() -> None:
    x = np.array([1 + 2**-12], np.float32)
    found = mapped(x, lambda kernel, v: kernel.fma(v, v, kernel.constant(-1.0, 1)))
    assert found[0] == np.float32(float(x[0]) ** 2 - 1) != np.float32(x[0] * x[0]) - 1


@pytest.mark.parametrize("lanes", WIDTHS)
def test_bfloat16_is_the_upper_half_and_rounds_to_the_nearest_even(lanes: int) -> None:
    bits = np.random.default_rng(lanes).integers(0, 2**32, (50, lanes)).astype(np.uint32)
    bits[:3] = [[0x3F808000], [0x3F818000], [0x3F817FFF]]  # two ties and one that is none
    bits &= 0xBFFFFFFF  # no infinity
    for each in bits:
        narrow = np.zeros(lanes, np.uint16)
        kernel = Kernel("narrowed", "x_at", "y_at")
        kernel.store_bfloat16(kernel.floats(kernel.inputs[0], lanes), kernel.inputs[1])
        run(kernel, each, narrow)
        rest, upper = each & 0xFFFF, (each >> 16).astype(np.uint16)
        is_up = (rest > 0x8000) | ((rest == 0x8000) & (upper % 2 == 1))
        assert (narrow == upper + is_up).all()
        wide = np.zeros(lanes, np.float32)
        kernel = Kernel("widened", "x_at", "y_at")
        kernel.store(kernel.bfloat16s(kernel.inputs[0], lanes), kernel.inputs[1])
        run(kernel, narrow, wide)
        assert (wide.view(np.uint32) == narrow.astype(np.uint32) << 16).all()


def test_pairs_come_apart_in_their_order() -> None:
    pairs = np.array([0x40003F80, 0xBF804040], np.uint32)  # 1 below 2, 3 below -1
    found = np.zeros((2, 2), np.float32)
    kernel = Kernel("apart", "x_at", "y_at")
    lower, upper = kernel.bfloat16_pairs(kernel.bits(kernel.inputs[0], 2))
    kernel.store(lower, kernel.inputs[1])
    kernel.store(upper, kernel.plus(kernel.inputs[1], 8))
    run(kernel, pairs, found)
    assert found.tolist() == [[1, 3], [2, -1]]


def test_bytes_keep_their_sign() -> None:
    x, found = np.array([-128, -1, 0, 127], np.int8), np.zeros(4, np.float32)
    kernel = Kernel("bytes", "x_at", "y_at")
    kernel.store(kernel.signed_bytes(kernel.inputs[0], 4), kernel.inputs[1])
    run(kernel, x, found)
    assert found.tolist() == [-128, -1, 0, 127]


@pytest.mark.parametrize(("first", "end"), [(0, 0), (0, 5), (3, 5), (5, 3)])
def test_a_loop_carries_from_round_to_round(first: int, end: int) -> None:
    """Also where it has no round at all."""
    sums = np.zeros(2, np.float32)
    kernel = Kernel("loops", "first", "end", "sums_at")
    first_input, end_input, sums_at = kernel.inputs
    one = kernel.constant(1.0, 1)
    with kernel.loop(first_input, end_input, carried=[kernel.constant(0.0, 1)] * 2) as outer:
        with kernel.loop(0, outer.index, carried=outer.carried) as inner:
            inner.next = [kernel.add(inner.carried[0], one), inner.carried[1]]
        outer.next = [inner.carried[0], kernel.add(inner.carried[1], one)]
    for number, total in enumerate(outer.carried):
        kernel.store(total, kernel.plus(sums_at, 4 * number))
    run(kernel, first, end, sums)
    assert sums.tolist() == [sum(range(first, end)), max(0, end - first)]


def test_whole_numbers_are_counted_and_read() -> None:
    numbers = np.array([41, 6, 0], np.int64)
    kernel = Kernel("counts", "numbers_at")
    (at,) = kernel.inputs
    quotient, remainder = kernel.divided(kernel.number_at(at), kernel.number_at(kernel.plus(at, 8)))
    answer = kernel.plus(kernel.times(quotient, 1000), kernel.times(remainder, 10), kernel.fewer(quotient, 9))
    kernel.store(answer, kernel.plus(at, 16))
    run(kernel, numbers)
    assert numbers[2] == 41 // 6 * 1000 + 41 % 6 * 10 + 6


def test_to_ask_for_an_address_that_is_nobodys_does_no_harm() -> None:
    kernel = Kernel("asks", "address")
    kernel.fetch(kernel.inputs[0])
    ask = compiled(kernel)
    for address in (0, 8, -1, 2**62):
        ask(address)
