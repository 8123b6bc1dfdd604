"""The weights of a model folder, read tensor by tensor from safetensors files.

Never from a pickle: loading one runs whatever its author put in it. A tensor that is missing or has
another shape than the configuration demands is refused by name, before anything is computed with it.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from text2song.errors import ModelCorrupt
from text2song.model.weights import weight_files

_REPAIR: Final = "Download the model again with `text2song model add`."


class Checkpoint:
    """Open weight files; made by `open_checkpoint`."""

    def __init__(self, folder: Path, files: Mapping[str, Any]) -> None:
        self.folder = folder
        self._files = files  # tensor name to the open file that holds it

    @property
    def names(self) -> frozenset[str]:
        """Every tensor's name."""
        return frozenset(self._files)

    def read(self, name: str, *, shape: tuple[int, ...]) -> Tensor:
        """One tensor as float32, whatever it is stored as.

        Raises:
            ModelCorrupt: it is missing, has another shape, or cannot be read.
        """
        if name not in self._files:
            raise ModelCorrupt(f"{self.folder} lacks the tensor {name}. {_REPAIR}")
        try:
            tensor: Tensor = self._files[name].get_tensor(name)
        except SafetensorError as error:
            raise ModelCorrupt(f"{self.folder}: {name} cannot be read ({error}). {_REPAIR}") from error
        if tuple(tensor.shape) != shape:
            raise ModelCorrupt(
                f"{self.folder}: {name} has the shape {tuple(tensor.shape)}, but config.json demands "
                f"{shape}. {_REPAIR}"
            )
        return tensor.to(torch.float32)

    def fill(self, module: torch.nn.Module, *, prefix: str, aliases: Mapping[str, str]) -> None:
        """Give a module all of its weights; `aliases` names a stand-in for tensors stored once or renamed.

        Raises:
            ModelCorrupt: as `read` does.
        """
        read: dict[str, Tensor] = {}
        filled = {}
        for name, wanted in module.state_dict().items():
            stored = prefix + name
            if stored not in self._files and name in aliases:
                stored = prefix + aliases[name]
            if stored not in read:
                read[stored] = self.read(stored, shape=tuple(wanted.shape))
            filled[name] = read[stored]
        module.load_state_dict(filled, assign=True)


@contextmanager
def open_checkpoint(folder: Path) -> Iterator[Checkpoint]:
    """The folder's weights, open as long as the context is.

    Raises:
        ModelMissing: there are no weights.
        ModelUnsupported: there are only pickled weights.
        ModelCorrupt: a weight file is missing, truncated or no safetensors file.
    """
    with ExitStack() as stack:
        files: dict[str, Any] = {}
        for path in weight_files(folder):
            try:
                file = stack.enter_context(safe_open(path, framework="pt"))
            except (SafetensorError, OSError) as error:
                raise ModelCorrupt(f"{path} is damaged or incomplete ({error}). {_REPAIR}") from error
            files.update(dict.fromkeys(file.keys(), file))
        yield Checkpoint(folder, files)
