"""The weights of a model folder, read tensor by tensor from safetensors files.

Never from a pickle: loading one runs whatever its author put in it. A tensor that is missing or has
another shape than the configuration demands is refused by name, before anything is computed with it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from text2song.errors import ModelCorrupt
from text2song.model.weights import weight_files

Read = Callable[[str, tuple[int, ...]], Tensor]
"""Gives a network its tensor of that name, checked against that shape."""
_OLDER_NAMES: Final = {
    "parametrizations.weight.original0": "weight_g",  # weight norm before torch 2
    "parametrizations.weight.original1": "weight_v",
    "text_encoder.shared.weight": "text_encoder.encoder.embed_tokens.weight",  # one table under two names
}
"""Parts of names that published checkpoints may have instead, by today's."""
_REPAIR: Final = "Download the model again with `text2song model add`."


class _OpenFile(NamedTuple):
    path: Path
    tensors: Any
    """What safetensors opens: untyped."""


class Checkpoint:
    """Open weight files; made by `open_checkpoint`."""

    def __init__(self, folder: Path, files: Mapping[str, _OpenFile]) -> None:
        self.folder = folder
        self._files = files  # by tensor name

    def read(self, name: str, *, shape: tuple[int, ...]) -> Tensor:
        """One tensor as float32, whatever it is stored as, by its name or an older one.

        Always a copy: what safetensors gives lies in the file's pages, all of which stay in this process as
        long as one tensor of them does. Of musicgen-small that was 1.6 GiB more than its weights.

        Raises:
            ModelCorrupt: it is missing, has another shape, or cannot be read.
        """
        stored = next((n for n in _names(name) if n in self._files), None)
        if stored is None:
            raise ModelCorrupt(f"{self.folder} lacks the tensor {name}, which config.json demands. {_REPAIR}")
        file = self._files[stored]
        try:
            tensor: Tensor = file.tensors.get_tensor(stored)
        except SafetensorError as error:
            raise ModelCorrupt(f"{file.path}: {name} cannot be read ({error}). {_REPAIR}") from error
        if tuple(tensor.shape) != shape:
            raise ModelCorrupt(
                f"{file.path}: {name} has the shape {tuple(tensor.shape)}, but config.json demands "
                f"{shape}. {_REPAIR}"
            )
        return tensor.to(torch.float32, copy=True)


def _names(name: str) -> Iterator[str]:
    """The names that a tensor may have, today's first."""
    yield name
    for today, older in _OLDER_NAMES.items():
        if name.endswith(today):
            yield name.removesuffix(today) + older


@contextmanager
def open_checkpoint(folder: Path) -> Iterator[Checkpoint]:
    """The folder's weights, open as long as the context is.

    Raises:
        ModelMissing: there are no weights.
        ModelUnsupported: there are only pickled weights.
        ModelCorrupt: a weight file is missing, truncated or no safetensors file.
    """
    with ExitStack() as stack:
        files: dict[str, _OpenFile] = {}
        for path in weight_files(folder):
            try:
                file = stack.enter_context(safe_open(path, framework="pt"))
            except (SafetensorError, OSError) as error:
                raise ModelCorrupt(f"{path} is damaged or incomplete ({error}). {_REPAIR}") from error
            files.update(dict.fromkeys(file.keys(), _OpenFile(path, file)))
        yield Checkpoint(folder, files)
