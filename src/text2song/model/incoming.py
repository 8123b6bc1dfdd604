"""How a model comes into the library, from the hub or from a folder: alone, with room, whole or not at all.

A model is put together in `.incoming`, beside a lock, and moved to its place when it is whole. The
system drops a lock with its holder, so what a killed process left there is known by nobody holding it.
Needs no torch.

.incoming/
├── NAME@REVISION/       being put together; a download that broke off stays, and goes on from there
├── NAME@REVISION.lock   held as long as somebody works on it
└── NAME@REVISION.old    the older revision, on its way out
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType
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
COPY_REVISION: Final = "folder"
"""Of a model that is copied from this machine; a copy that broke off is started again."""
GIVEN_UP_SECONDS: Final = 30 * 24 * 3600.0
"""A download that nobody touched for so long is not gone on with."""
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
    """Refuse to write where another process is writing.

    Raises:
        DownloadFailed: another process brings the same model.
    """
    try:
        lock = _hold(incoming, is_patient=False)
    except BlockingIOError as error:
        raise DownloadFailed(
            f"Another process is bringing the same model into {incoming}. Wait for it to end."
        ) from error
    with lock, _folder(incoming):
        yield


@contextmanager
def in_turn(incoming: Path) -> Iterator[None]:
    """Wait until no other process or thread is writing there."""
    with _hold(incoming, is_patient=True), _folder(incoming):
        yield


def sweep_beside(incoming: Path) -> None:
    """Remove what killed processes left: copies, other revisions of this model, downloads long given up.

    What a living process holds stays, and so does another model's download: it is promised to go on.
    """
    if _locks() is None:  # then nobody can tell the dead from the living
        return
    name = _target_name(incoming)
    for other in sorted({_whose(path) for path in incoming.parent.iterdir()} - {incoming}):
        is_dead = (
            other.name.endswith(f"@{COPY_REVISION}") or _target_name(other) == name or _is_given_up(other)
        )
        with suppress(OSError), _hold(other, is_patient=False):
            _settle_older(other)
            if is_dead:
                shutil.rmtree(other, ignore_errors=True)
            _tidy(other)


def start_afresh(incoming: Path) -> None:
    """Empty the folder of what a killed process left, where nothing can go on from it."""
    shutil.rmtree(incoming)
    incoming.mkdir()


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
    _bring_to_disk(incoming)
    if target.exists():
        target.rename(older)
    incoming.rename(target)
    _sync(target.parent)
    shutil.rmtree(older, ignore_errors=True)


def _bring_to_disk(folder: Path) -> None:
    """Before a rename: it may outlive a power cut that the bytes do not, and leave a model of empty files."""
    for path in sorted(folder.rglob("*"), reverse=True):  # a folder after what is in it
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    if os.name == "nt":  # it syncs no folder, and no file that is open for reading
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _beside(incoming: Path, suffix: str) -> Path:
    return incoming.with_name(f"{incoming.name}.{suffix}")


def _whose(path: Path) -> Path:
    """The incoming folder that something in `.incoming` is, or stands beside."""
    return path.with_suffix("") if path.suffix in {".lock", ".old"} else path


def _target_name(incoming: Path) -> str:
    return incoming.name.rpartition("@")[0]


def _is_given_up(incoming: Path) -> bool:
    """Whether nothing came for long; of a folder that is gone, whatever stands beside it is of no use."""
    times = [path.stat().st_mtime for path in (incoming, *incoming.rglob("*")) if path.exists()]
    return time.time() - max(times, default=0.0) > GIVEN_UP_SECONDS


def _settle_older(incoming: Path) -> None:
    """Finish a `put` that was killed half way: the older revision goes, or takes its place again."""
    older, target = _beside(incoming, "old"), incoming.parent.parent / _target_name(incoming)
    if older.exists() and not target.exists():
        older.rename(target)
    shutil.rmtree(older, ignore_errors=True)


@contextmanager
def _folder(incoming: Path) -> Iterator[None]:
    """The folder, under its lock; afterwards no trace of the two where the model has gone to its place."""
    incoming.mkdir(exist_ok=True)
    try:
        yield
    finally:
        _tidy(incoming)


def _tidy(incoming: Path) -> None:
    """Remove the lock of a folder that is gone, while it is held; and `.incoming` with the last one."""
    if not incoming.exists():
        with suppress(OSError):
            _beside(incoming, "lock").unlink(missing_ok=True)
            incoming.parent.rmdir()


def _hold(incoming: Path, *, is_patient: bool) -> IO[str]:
    """The lock beside `incoming`, held until it is closed.

    Raises:
        BlockingIOError: another holds it, and `is_patient` is false.
    """
    path = _beside(incoming, "lock")
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # the last one to leave took `.incoming` along
            lock = path.open("w")
            try:
                _take(lock, is_patient=is_patient)
                if os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                    return lock
            except BaseException:
                lock.close()
                raise
            lock.close()  # whoever held it removed it meanwhile: a lock that nobody else can find


def _take(lock: IO[str], *, is_patient: bool) -> None:
    fcntl = _locks()
    if fcntl is not None:  # else two at once are found out by the check of the bytes alone
        fcntl.flock(lock, fcntl.LOCK_EX if is_patient else fcntl.LOCK_EX | fcntl.LOCK_NB)


def _locks() -> ModuleType | None:
    try:
        import fcntl  # noqa: PLC0415  # Windows has none
    except ModuleNotFoundError:
        return None
    return fcntl
