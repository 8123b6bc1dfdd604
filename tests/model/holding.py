"""The tensors that an object holds, wherever it holds them, and a `read` that makes them up."""

from collections.abc import Iterator
from types import FunctionType

import torch
from torch import Tensor

from text2song.model.checkpoint import Read


def drawn(seed: int = 0) -> Read:
    """Random tensors of any name and shape, for networks at sizes of which nobody has the weights."""
    chance = torch.Generator().manual_seed(seed)

    def read(name: str, shape: tuple[int, ...]) -> Tensor:
        # Small, so that a deep network of them neither overflows nor dies out; a norm's are ones.
        return torch.ones(shape) if "norm" in name else torch.randn(shape, generator=chance) * 0.02

    return read


def held_bytes(*roots: object) -> int:
    """Of all tensors that are reached from the roots, each memory once."""
    storages = [tensor.untyped_storage() for tensor in _tensors(list(roots))]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def _tensors(waiting: list[object]) -> Iterator[Tensor]:
    seen: dict[int, object] = {}  # holds what it knows, so that no number is given to another object
    while waiting:
        each = waiting.pop()
        if id(each) in seen or isinstance(each, str | int | float | type | torch.dtype | torch.device):
            continue
        seen[id(each)] = each
        if isinstance(each, Tensor):
            yield each
        else:
            waiting += _parts(each)


def _parts(each: object) -> list[object]:
    if isinstance(each, dict):
        return list(each.values())
    if isinstance(each, list | tuple):
        return list(each)
    if isinstance(each, FunctionType):
        return [cell.cell_contents for cell in each.__closure__ or ()]
    slots = [getattr(each, name) for name in getattr(type(each), "__slots__", ()) if hasattr(each, name)]
    return slots + list(getattr(each, "__dict__", {}).values())
