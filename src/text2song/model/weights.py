"""Which files of a folder are the model's weights, and the fingerprint that names their bytes.

Needs no torch.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from text2song.errors import ModelCorrupt, ModelMissing, ModelUnsupported
from text2song.model.configuration import CONFIG_NAME

SINGLE_NAME: Final = "model.safetensors"
INDEX_NAME: Final = "model.safetensors.index.json"
PICKLE_NAMES: Final = ("pytorch_model.bin", "pytorch_model.bin.index.json")
STAMP_NAME: Final = ".text2song-fingerprint.json"
"""Remembers the last fingerprint beside the sizes and times of the files that it was taken of."""
STAMPED_BYTES: Final = 2**26
"""Weights that large are not read again without need; smaller ones are, in a tenth of a second."""


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files that hold the weights: one, or the shards that the index names.

    Raises:
        ModelMissing: there are no weights.
        ModelUnsupported: there are only pickled weights.
        ModelCorrupt: the index is damaged, or a shard is missing.
    """
    if (folder / SINGLE_NAME).is_file():
        return (folder / SINGLE_NAME,)
    if (folder / INDEX_NAME).is_file():
        return _shards(folder)
    if any((folder / name).is_file() for name in PICKLE_NAMES):
        raise ModelUnsupported(
            f"{folder} holds its weights only as a pickle, which the studio never opens: loading one can run "
            "any program. `text2song model add` downloads a model and converts it safely to safetensors."
        )
    raise ModelMissing(f"{folder} holds no {SINGLE_NAME}. Download the model with `text2song model add`.")


def _shards(folder: Path) -> tuple[Path, ...]:
    index = folder / INDEX_NAME
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelCorrupt(
            f"{index} is damaged. Download the model again with `text2song model add`."
        ) from error
    for name in names:
        is_plain = isinstance(name, str) and Path(name).name == name and name.endswith(".safetensors")
        if not is_plain or not (folder / name).is_file():
            raise ModelCorrupt(
                f"{folder}: the weight file {name!r} is missing. Download the model again with "
                "`text2song model add`: it fetches only what is missing."
            )
    return tuple(folder / name for name in names)


def fingerprint(folder: Path) -> str:
    """sha256 over the names, sizes and bytes of config.json and the weight files, in hexadecimal.

    Reading gigabytes takes seconds, so for large weights the result is kept in the folder (where it may be
    written to) beside each file's size and time of change; both must still hold, or it is taken anew.

    Raises:
        ModelMissing, ModelUnsupported, ModelCorrupt: as `weight_files` does.
    """
    paths = (folder / CONFIG_NAME, *weight_files(folder))
    files = [[p.name, p.stat().st_size, p.stat().st_mtime_ns] for p in paths]
    if sum(path.stat().st_size for path in paths) < STAMPED_BYTES:
        return _digest(paths)
    stamp = folder / STAMP_NAME
    remembered = _read_stamp(stamp)
    if remembered.get("files") == files and isinstance(remembered.get("fingerprint"), str):
        return str(remembered["fingerprint"])
    digest = _digest(paths)
    _write_stamp(stamp, {"files": files, "fingerprint": digest})
    return digest


def _digest(paths: Sequence[Path]) -> str:
    whole = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            part = hashlib.file_digest(file, "sha256")
        whole.update(f"{path.name}\0{path.stat().st_size}\0{part.hexdigest()}\n".encode())
    return whole.hexdigest()


def _read_stamp(stamp: Path) -> dict[str, Any]:
    try:
        stored = json.loads(stamp.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def _write_stamp(stamp: Path, content: dict[str, Any]) -> None:
    draft = stamp.with_name(f"{stamp.name}.{os.getpid()}")
    try:
        draft.write_text(json.dumps(content), encoding="utf-8")
        draft.replace(stamp)
    except OSError:  # a read-only folder: the next load reads the bytes again
        with suppress(OSError):
            draft.unlink(missing_ok=True)
