"""Blobs as files in one folder of this machine.

Reading goes through obstore. Writing does not: its put on local files is atomic, but it never calls
fsync (0.12 has no switch for it), and a write that is killed leaves its half file among the blobs.
Here a blob is written in `.staging`, brought to the disk (fsync), renamed to its key, and the
rename is brought to the disk too. So what `put` returned survives `kill -9` and, as far as the disk
keeps what it has acknowledged, a loss of power; a deleted blob may come back after one, which is
an orphan and no damage.
"""

import contextlib
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from obstore.store import LocalStore

from text2song.blobs.keys import key_for
from text2song.blobs.objects import ObjectBlobs
from text2song.blobs.store import CHUNK_BYTES, LINK_SECONDS, StoredBlob
from text2song.disks import is_disk_full, try_to_write
from text2song.errors import StorageFailed, StorageFull, StudioError

STAGING_FOLDER: Final = ".staging"
"""Beside the folders of blobs, so that a rename crosses no file system; the dot keeps it from being one."""
STAGING_LIFE_SECONDS: Final = 24 * 3600
"""No put takes a day: what is older was left by a process that was killed."""
_MEGABYTE: Final = 1_000_000


class LocalBlobs(ObjectBlobs):
    """A `BlobStore` in the folder `root`, which is made where it does not exist."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._staging = self._root / STAGING_FOLDER
        with _told(self._root):
            self._staging.mkdir(parents=True, exist_ok=True)
            _sweep(self._staging)
            super().__init__(LocalStore(self._root), place=str(self._root))

    def put(self, data: bytes | Path, *, folder: str, suffix: str) -> StoredBlob:
        """Store `data`; see `BlobStore`. A damaged file of another size at its key is replaced."""
        staged = self._staging / uuid.uuid4().hex
        with contextlib.ExitStack() as cleanup:
            chunks = cleanup.enter_context(_opened(data))
            cleanup.callback(_remove, staged)  # after the rename there is nothing to remove
            cleanup.enter_context(_told(self._root))
            sha256, size_bytes = _write(staged, chunks)
            key = key_for(sha256, folder=folder, suffix=suffix)
            final = self._root / key
            final.parent.mkdir(parents=True, exist_ok=True)
            if not final.is_file() or final.stat().st_size != size_bytes:
                staged.replace(final)
            # Also where the blob was there already: another process may be about to do this.
            for directory in (final.parent, final.parent.parent, self._root):
                _sync_directory(directory)
        return StoredBlob(key, size_bytes, sha256)

    def require_writable(self) -> None:
        """Room for a block where blobs are staged; see `BlobStore`."""
        self._require_reachable()
        with _told(self._root):
            try_to_write(self._staging)

    def link(self, key: str, *, expires_seconds: int = LINK_SECONDS) -> Path | str | None:  # noqa: ARG002  # the port's
        """The file itself."""
        self.stat(key)
        return self._root / key

    def _require_reachable(self) -> None:
        if not self._staging.is_dir():
            raise StorageFailed(
                f"The folder {self._root}, which holds the stored files, is gone: is its disk mounted?"
            )


def _write(path: Path, chunks: Iterator[bytes]) -> tuple[str, int]:
    """Write `chunks` to a new file and to the disk; answer their sha256 and how many bytes they were."""
    digest, size_bytes = hashlib.sha256(), 0
    with path.open("xb") as file:
        for chunk in chunks:
            file.write(chunk)
            digest.update(chunk)
            size_bytes += len(chunk)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest(), size_bytes


@contextlib.contextmanager
def _opened(data: bytes | Path) -> Iterator[Iterator[bytes]]:
    """`data` in chunks; a source file that cannot be opened is the caller's mistake, not the storage's."""
    if isinstance(data, Path):
        with data.open("rb") as file:
            yield iter(lambda: file.read(CHUNK_BYTES), b"")
    else:
        yield iter((data,))


@contextlib.contextmanager
def _told(root: Path) -> Iterator[None]:
    """What the operating system refuses, as what a person can do about it."""
    try:
        yield
    except StudioError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        if is_disk_full(error):
            raise StorageFull(
                f"The disk that holds {root} is full ({reason}): free some space "
                f"({_free_megabytes(root)} MB free) and try again."
            ) from error
        raise StorageFailed(
            f"The folder {root} cannot be written ({reason}): see to its disk and its permissions, "
            "then try again."
        ) from error


def _free_megabytes(root: Path) -> str:
    with contextlib.suppress(OSError):
        return f"{shutil.disk_usage(root).free / _MEGABYTE:.0f}"
    return "unknown"


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # the error that led here is the one to tell; the sweep comes later
        path.unlink(missing_ok=True)


def _sync_directory(directory: Path) -> None:
    """Bring a directory's entries to the disk; Windows has no such call and journals them itself."""
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(staging: Path) -> None:
    """Remove what killed processes left behind."""
    oldest = time.time() - STAGING_LIFE_SECONDS
    for path in staging.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process sweeps too
            if path.stat().st_mtime < oldest:
                path.unlink()
