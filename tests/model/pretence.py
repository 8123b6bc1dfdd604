"""A GPU in pretence: tensors that only have a shape and a place, for machines without a GPU.

What it finds are numbers in the wrong memory: an operation between the processor's and the GPU's
tensors is refused as on a real GPU. What it cannot find: wrong numbers, speed, memory. Convolutions
are beyond it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode

DEVICE = torch.device("cuda:0")
_SLICE, _SELECT = torch.ops.aten.slice.Tensor, torch.ops.aten.select.int
_INDEX, _COPY = torch.ops.aten.index.Tensor, torch.ops.aten.copy_.default


@contextmanager
def pretended_gpu() -> Iterator[None]:
    """In this context every tensor is in pretence, wherever it is."""
    with FakeTensorMode(allow_non_fake_inputs=True), _WithoutDriver():
        yield


class _WithoutDriver(TorchFunctionMode):
    """Does by parts what would ask CUDA's driver first, which is not there."""

    def __torch_function__(
        self,
        called: Callable[..., object],
        types: object,
        args: tuple[Any, ...] = (),
        options: Mapping[str, object] | None = None,
    ) -> object:
        if called is Tensor.__getitem__:
            return _indexed(*args)
        if called is Tensor.__setitem__:
            tensor, index, value = args
            return _COPY(_indexed(tensor, index), value)
        if called is Tensor.contiguous:
            return torch.clone(args[0], memory_format=torch.contiguous_format)
        return called(*args, **(options or {}))


def _indexed(tensor: Tensor, index: object) -> Tensor:
    parts = index if isinstance(index, tuple) else (index,)
    dim = 0
    for part in parts:
        if part is None:
            tensor, dim = tensor.unsqueeze(dim), dim + 1
        elif isinstance(part, slice):
            tensor, dim = _SLICE(tensor, dim, part.start, part.stop, part.step or 1), dim + 1
        elif isinstance(part, Tensor):
            tensor, dim = _INDEX(tensor, [None] * dim + [part]), dim + part.dim()
        elif isinstance(part, int):
            tensor = _SELECT(tensor, dim, part)
        else:
            raise NotImplementedError(part)
    return tensor
