import gc

import pytest
import torch

from text2song.model.linear import Backend, product

SHAPES = {
    "noise": (128, 64),
    "small up": (4096, 1024),
    "small down": (1024, 4096),
    "medium out": (1536, 1536),
    "large down": (2048, 8192),
}
ROWS = (1, 2, 3, 4, 5, 8, 15, 16, 17, 32, 33, 64, 100, 128)


def weight_and_input(shape: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    chance = torch.Generator().manual_seed(3)
    weight = torch.randn(shape, generator=chance) / shape[1] ** 0.5
    return weight, torch.randn(128, shape[1], generator=chance)


@pytest.mark.parametrize("backend", ["plain", "packed"])
@pytest.mark.parametrize("rows", [1, 2, 16])
def test_a_product_is_the_definition(backend: Backend, rows: int) -> None:
    weight, x = weight_and_input((96, 64))
    exact = x[:rows].double() @ weight.double().T

    ours = product(weight, backend=backend)(x[:rows])

    assert ours.shape == (rows, 96)
    assert (ours - exact).abs().max() < 1e-5


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize(
    ("backend", "dtype"),
    [("packed", torch.float32), ("packed", torch.bfloat16), ("int8", torch.float32)],
    ids=["float32", "bfloat16", "int8"],
)
def test_a_row_has_the_same_bits_in_any_company(
    shape: tuple[int, int], backend: Backend, dtype: torch.dtype
) -> None:
    weight, x = weight_and_input(shape)
    run = product(weight.to(dtype), backend=backend)
    everyone = run(x)

    for rows in ROWS:
        for start in {0, (128 - rows) // 2, 128 - rows}:
            there = slice(start, start + rows)
            assert torch.equal(run(x[there]), everyone[there]), (rows, start)


@pytest.mark.parametrize("backend", ["plain", "packed", "int8"])
def test_a_product_that_is_let_go_is_gone_at_once(backend: Backend) -> None:
    """Without a circle that only a later collection breaks: an adapter's are many megabytes."""
    product(torch.ones(8, 8), backend=backend)(torch.ones(40, 8))
    gc.collect()
    gc.disable()
    try:
        product(torch.ones(8, 8), backend=backend)(torch.ones(40, 8))
        assert gc.collect() == 0
    finally:
        gc.enable()
