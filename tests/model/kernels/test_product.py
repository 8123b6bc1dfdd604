"""Held to the definition in double precision, over row counts and shapes around every edge of the loops."""

import pytest
import torch

from text2song.model.kernels import machine
from text2song.model.kernels import product as under_test
from text2song.model.kernels.product import few_rows, few_rows_int8

ROWS = (1, 2, 3, 4, 5, 7, 8, 9, 16, 33)
SHAPES = ((64, 64), (128, 2), (96, 30), (1, 7), (200, 1030), (64, 3000))
"""Blocks that are full and not, pieces that are full and not, an odd count of inputs."""


@pytest.fixture(params=["wide registers", "narrow registers"])
def is_wide(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """As on a processor without AVX-512, too: other blocks, and bfloat16 by way of float32."""
    if request.param == "narrow registers":
        monkeypatch.setattr(under_test, "has_wide_registers", lambda: False)
        monkeypatch.setattr(under_test, "multiplies_bfloat16_pairs", lambda: False)
        return False
    if not machine.has_wide_registers():
        pytest.skip("this processor has none")
    return machine.multiplies_bfloat16_pairs()


def drawn(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_product_is_the_definition(shape: tuple[int, int], dtype: torch.dtype, *, is_wide: bool) -> None:
    weight = (drawn(*shape) / shape[1] ** 0.5).to(dtype)
    run = few_rows(weight)
    is_rounded = dtype == torch.bfloat16 and is_wide
    for rows in ROWS:
        x = drawn(rows, shape[1], seed=rows)
        seen = x.bfloat16() if is_rounded else x
        expected = seen.double() @ weight.double().T
        found = run(x)
        assert (found.shape, found.dtype) == ((rows, shape[0]), torch.float32)
        assert (found - expected).abs().max() < 1e-5


@pytest.mark.usefixtures("is_wide")
@pytest.mark.parametrize("shape", SHAPES)
def test_a_weight_of_eight_bits_is_within_half_a_level(shape: tuple[int, int]) -> None:
    weight = drawn(*shape)
    weight[0] = 0  # an output of nothing has a scale, too
    run = few_rows_int8(weight)
    levels = weight.abs().amax(1) / 127
    for rows in ROWS:
        x = drawn(rows, shape[1], seed=rows)
        exact = x.double() @ weight.double().T
        assert ((run(x) - exact).abs() <= x.abs().sum(1, keepdim=True) * levels / 2 + 1e-4).all()
    assert (run(torch.eye(shape[1])).T - weight).abs().max() <= levels.max() / 2 * 1.001


@pytest.mark.usefixtures("is_wide")
@pytest.mark.parametrize("make", [few_rows, few_rows_int8])
def test_a_product_reads_what_it_is_given_and_changes_nothing(make: object) -> None:
    assert callable(make)
    run = make(drawn(70, 40))
    x = drawn(6, 80)[:, ::2]  # not contiguous
    before = x.clone()
    assert torch.equal(run(x), run(x.contiguous()))
    assert torch.equal(x, before)


@pytest.mark.usefixtures("is_wide")
def test_the_count_of_threads_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("text2song.model.kernels.team.WORTH_BYTES", 1)
    run, x = few_rows(drawn(64 * 5, 300)), drawn(9, 300)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3, 8):
            torch.set_num_threads(threads)
            found.append(run(x))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(found[0], other) for other in found[1:])


@pytest.mark.skipif(not machine.has_wide_registers(), reason="this processor has narrow registers")
def test_float32_and_eight_bits_have_the_same_bits_in_the_layout_of_smaller_processors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weight, x = drawn(130, 700), drawn(9, 700, seed=1)
    wide = [make(weight)(x) for make in (few_rows, few_rows_int8)]
    monkeypatch.setattr(under_test, "has_wide_registers", lambda: False)
    narrow = [make(weight)(x) for make in (few_rows, few_rows_int8)]
    assert all(torch.equal(a, b) for a, b in zip(wide, narrow, strict=True))


def test_rows_and_weights_that_a_loop_would_misread_are_refused() -> None:
    for make in (few_rows, few_rows_int8):
        run = make(drawn(8, 6))
        for wrong in (drawn(2, 5), drawn(2, 7), drawn(2, 6).double(), drawn(2, 6).bfloat16()):
            with pytest.raises(ValueError, match="for a weight of 6 inputs"):
                run(wrong)
    with pytest.raises(ValueError, match="float64"):
        few_rows(drawn(8, 6).double())
