"""Adapters of random factors, for the tests of what they add to the decoder."""

from collections.abc import Mapping

import torch

from text2song.model.lora import Factors


def random_factors(
    shapes: Mapping[str, tuple[int, int]], *, rank: int, seed: int, only: str = "", strength: float = 0.05
) -> dict[str, Factors]:
    """An update of each module whose name holds `only`."""
    chance = torch.Generator().manual_seed(seed)
    return {
        name: Factors(
            down=torch.randn(rank, inputs, generator=chance) * strength,
            up=torch.randn(outputs, rank, generator=chance) * strength,
        )
        for name, (outputs, inputs) in shapes.items()
        if only in name
    }
