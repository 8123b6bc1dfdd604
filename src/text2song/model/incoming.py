"""How a model comes into the library, from the hub or from a folder: alone, with room, whole or not at all.

A model is put together in `.incoming`, beside a lock, and moved to its place when it is whole.
Needs no torch.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Final

from text2song.disks import is_disk_full
from text2song.errors import DownloadFailed, StorageFailed, StorageFull
from text2song.model.library import INCOMING_NAME
from text2song.model.manifest import Manifest
from text2song.model.weights import PICKLE_NAMES, fingerprint, weight_files

OnProgress = Callable[[int, int], None]
"""Told the bytes that are here and the bytes in all, as they come."""
TOKENIZER_NAME: Final = "tokenizer.json"
WELCOME_NAMES: Final = (
    "generation_config.json",
    "preprocessor_config.json",
    "special_tokens_map.json",
    "tokenizer_config.json",
    "LICENSE",
)
"""Small files that are taken where they are there."""
_SPARE_BYTES: Final = 2**26
"""Left free on the disk."""


def incoming_for(target: Path, *, revision: str) -> Path:
    """Where the model that is to stand at `target` is put together."""
    return target.parent / INCOMING_NAME / f"{target.name}@{revision[:12]}"


@contextmanager
def disk_errors(models_folder: Path, *, after: str) -> Iterator[None]:
    """Turn what the disk refuses into errors that say what to do; `after` says what became of the bytes.

    Raises:
        StorageFull: there is no room left.
        StorageFailed: the folder of models cannot be written to.
    """
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise StorageFull(
                f"The disk is full: no room in {models_folder}. Free some space and try again: {after}."
            ) from error
        raise StorageFailed(
            f"{models_folder} cannot be written to ({error}). Check that the folder and the disk are yours "
            "to write to, or set TEXT2SONG_HOME to another folder."
        ) from error


@contextmanager
def alone_in(incoming: Path) -> Iterator[None]:
    """Refuse to write where another process is writing; the system drops the lock with its holder.

    Raises:
        DownloadFailed: another process brings the same model.
    """
    incoming.mkdir(parents=True, exist_ok=True)
    with _beside(incoming, "lock").open("w") as lock:
        try:
            _take(lock)
        except BlockingIOError as error:
            raise DownloadFailed(
                f"Another process is bringing the same model into {incoming}. Wait for it to end."
            ) from error
        yield


def require_space(model_id: str, *, needed_bytes: int, incoming: Path) -> None:
    """Look for room before the bytes come.

    Raises:
        StorageFull: they would not fit.
    """
    needed = needed_bytes + _SPARE_BYTES
    free = shutil.disk_usage(incoming).free
    if free < needed:
        raise StorageFull(
            f"{model_id} needs {needed / 1e9:.2f} GB more in {incoming.parent.parent}, where "
            f"{free / 1e9:.2f} GB are free. Free some space, or set TEXT2SONG_HOME to a folder on a larger "
            "disk."
        )


def is_pickle(name: str) -> bool:
    """Whether a file is for the conversion alone: pickled weights, or their index."""
    return name in PICKLE_NAMES or name.endswith(".bin")


def write_manifest(incoming: Path, manifest: Manifest) -> None:
    """Store what is known of the model, with the fingerprint and size of the weights that came."""
    size_bytes = sum(path.stat().st_size for path in weight_files(incoming))
    replace(manifest, fingerprint=fingerprint(incoming), size_bytes=size_bytes).write(incoming)


def put(incoming: Path, target: Path) -> None:
    """Move the whole model to its place; an older revision leaves it, and running readers keep its bytes."""
    older = _beside(incoming, "old")
    shutil.rmtree(older, ignore_errors=True)
    if target.exists():
        target.rename(older)
    incoming.rename(target)
    shutil.rmtree(older, ignore_errors=True)


def _beside(incoming: Path, suffix: str) -> Path:
    return incoming.with_name(f"{incoming.name}.{suffix}")


def _take(lock: IO[str]) -> None:
    try:
        import fcntl  # noqa: PLC0415  # Windows has none
    except ModuleNotFoundError:  # two at once are then found out by the check of the bytes alone
        return
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
