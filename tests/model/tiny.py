"""Configurations and weights at the smallest size, for the tests that hold our networks to transformers'."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from text2song.model.checkpoint import Read
from text2song.model.configuration import ModelConfiguration, read_configuration
from text2song.model.noise_files import small_files


def configured(folder: Path, *, part: str, values: Mapping[str, Any]) -> ModelConfiguration:
    """The noise model's configuration with other values in one part, as our reader understands it."""
    config = small_files(audio_channels=1)["config.json"]
    config[part] |= values
    (folder / "config.json").write_text(json.dumps(config))
    return read_configuration(folder)


class Weights:
    """A network of transformers as a file would hold it; notes which of its tensors were asked for."""

    def __init__(self, module: torch.nn.Module, *, prefix: str) -> None:
        self._tensors = {f"{prefix}{name}": tensor for name, tensor in module.state_dict().items()}
        self.asked: set[str] = set()

    @property
    def names(self) -> set[str]:
        return set(self._tensors)

    @property
    def read(self) -> Read:
        def read(name: str, shape: tuple[int, ...]) -> Tensor:
            self.asked.add(name)
            tensor: Tensor = self._tensors[name]
            assert tuple(tensor.shape) == shape, name
            return tensor

        return read


def randomised(module: torch.nn.Module, *, seed: int) -> None:
    """Give every weight of a network a value that matters, norms and biases too; seeded."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                fan_in = max(1, tensor[0].numel()) if tensor.dim() > 1 else 4
                tensor.copy_(torch.randn(tensor.shape, generator=generator) / fan_in**0.5)


def largest_difference(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    assert theirs.std() > 0.01  # a network of zeros would prove nothing
    return float((ours - theirs).abs().max() / theirs.abs().max())
