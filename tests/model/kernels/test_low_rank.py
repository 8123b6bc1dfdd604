"""Held to the definition in double precision.

Legend: R rows, I input features, O output features, r rank.
"""

import pytest
import torch

from text2song.model.kernels.low_rank import LowRank

SHAPES = ((64, 32, 4), (3072, 1024, 24), (100, 30, 3), (5, 7, 1), (128, 64, 33))


@pytest.mark.parametrize(("outputs", "inputs", "rank"), SHAPES)
@pytest.mark.parametrize("rows", [[0], [3, 1], [0, 1, 2, 3, 4, 5]])
def test_named_rows_gain_what_the_factors_make_of_them_and_others_stay(
    outputs: int, inputs: int, rank: int, rows: list[int]
) -> None:
    chance = torch.Generator().manual_seed(rank)
    y, x = (torch.randn(6, width, generator=chance) for width in (outputs, inputs))
    down = torch.randn(rank, inputs, generator=chance) / inputs**0.5
    up = torch.randn(outputs, rank, generator=chance) / rank**0.5
    expected = y.double()
    expected[rows] += x[rows].double() @ down.double().T @ up.double().T
    found = y.clone()
    LowRank(down=down, up=up).add_to(found, x, torch.tensor(rows))
    assert (found - expected).abs().max() < 1e-5
    others = [row for row in range(6) if row not in rows]
    assert torch.equal(found[others], y[others])


def test_tensors_of_other_widths_are_refused() -> None:
    update = LowRank(down=torch.ones(2, 8), up=torch.ones(64, 2))
    rows = torch.tensor([0])
    for y, x, named in (
        (torch.ones(1, 63), torch.ones(1, 8), rows),
        (torch.ones(1, 64), torch.ones(1, 9), rows),
        (torch.ones(1, 64), torch.ones(1, 8), rows.int()),
    ):
        with pytest.raises(ValueError, match="for 8 and 64"):
            update.add_to(y, x, named)


def test_a_row_gains_the_same_bits_in_any_company() -> None:
    chance = torch.Generator().manual_seed(1)
    update = LowRank(down=torch.randn(8, 256, generator=chance), up=torch.randn(192, 8, generator=chance))
    y, x = torch.randn(9, 192, generator=chance), torch.randn(9, 256, generator=chance)
    together = y.clone()
    update.add_to(together, x, torch.arange(9))
    for row in range(9):
        alone = y[row : row + 1].clone()
        update.add_to(alone, x[row : row + 1], torch.tensor([0]))
        assert torch.equal(alone[0], together[row])
