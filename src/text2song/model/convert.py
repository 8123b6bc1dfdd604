"""Turn pickled weights into safetensors, once, in a process of its own.

    python -m text2song.model.convert SOURCE_FOLDER TARGET_FOLDER

A pickle is a program. `torch.load(weights_only=True)` runs none of it but the few steps that build
tensors, and refuses the rest; the separate process is the second wall, and gives its memory back.
The server itself never opens a pickle. `conversion.py` starts this program.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors.torch import save_file
from torch import Tensor

from text2song.errors import ModelCorrupt, ModelMissing, StudioError
from text2song.model.conversion import REFUSED_STATUS
from text2song.model.weights import PICKLE_NAMES, SINGLE_NAME

_SINGLE_PICKLE, _PICKLE_INDEX = PICKLE_NAMES


def convert_here(source: Path, target: Path) -> None:
    """Write `target/model.safetensors` from the pickled weights in `source`.

    Tensors that share memory (tied weights) are stored once for each of their names.

    Raises:
        ModelMissing: there are no pickled weights.
        ModelCorrupt: they hold anything but tensors, or are damaged.
    """
    tensors: dict[str, Tensor] = {}
    for path in _pickles(source):
        tensors.update(_read(path))
    draft = target / f".{SINGLE_NAME}.draft"
    save_file({name: t.contiguous().clone() for name, t in tensors.items()}, draft, metadata={"format": "pt"})
    draft.replace(target / SINGLE_NAME)


def _pickles(source: Path) -> Iterator[Path]:
    if (source / _SINGLE_PICKLE).is_file():
        yield source / _SINGLE_PICKLE
        return
    index = source / _PICKLE_INDEX
    if not index.is_file():
        raise ModelMissing(
            f"{source} holds neither {_SINGLE_PICKLE} nor {_PICKLE_INDEX}: nothing to convert."
        )
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelCorrupt(f"{index} is damaged. Download the model again.") from error
    for name in names:
        if Path(name).name != name:
            raise ModelCorrupt(f"{index} points out of its folder, to {name!r}. Do not use this model.")
        yield source / name


def _read(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise ModelCorrupt(
            f"{path} is damaged, or holds more than weights: opening it could run a program, so it was "
            "refused and nothing of it ran. Do not use this model; ask its author for safetensors."
        ) from error
    except (RuntimeError, EOFError, OSError) as error:
        raise ModelCorrupt(f"{path} is damaged or incomplete ({error}). Download the model again.") from error
    if not isinstance(content, dict) or not all(isinstance(tensor, Tensor) for tensor in content.values()):
        raise ModelCorrupt(f"{path} is not a plain table of tensors by name. Do not use this model.")
    return content


def main(arguments: list[str]) -> int:
    """The program: two folders; says what is wrong on standard error."""
    source, target = (Path(argument) for argument in arguments)
    try:
        convert_here(source, target)
    except StudioError as error:
        sys.stderr.write(f"{error.message}\n")
        return REFUSED_STATUS
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
