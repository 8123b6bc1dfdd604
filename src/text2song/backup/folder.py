"""The folder of a backup: snapshots of the rows, and one store of blobs that all of them share.

    FOLDER/text2song-backup.json      that it is one; locked while somebody uses it
    FOLDER/blobs/audio/ab/abcd….flac  every blob that a snapshot names, once
    FOLDER/snapshots/20260101T120000Z-01/users.jsonl.gz, …, manifest.json

A snapshot is finished by its manifest, the last file that is written and the first that is removed. What
a killed process left unfinished is removed by the next backup.
"""

import datetime as dt
import json
import os
import re
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

from text2song.backup import manifest as manifests
from text2song.backup.manifest import Manifest
from text2song.blobs.files import PASSING_PREFIX
from text2song.blobs.local import LocalBlobs
from text2song.disks import is_disk_full, sync_directory
from text2song.errors import BackupDamaged, Conflict, InvalidInput, StorageFailed, StorageFull

MARK_NAME: Final = "text2song-backup.json"
MANIFEST_NAME: Final = "manifest.json"
_NAME: Final = re.compile(r"\d{8}T\d{6}Z-\d{2,}")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A finished snapshot."""

    folder: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """How people name it; names sort by time."""
        return self.folder.name


class BackupFolder:
    """A folder that holds a backup."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        self._snapshots = self.root / "snapshots"

    @property
    def blobs_root(self) -> Path:
        """Where the bytes are that the snapshots share."""
        return self.root / "blobs"

    @property
    def blobs(self) -> LocalBlobs:
        """The bytes that the snapshots share."""
        return LocalBlobs(self.blobs_root)

    def stored_keys(self) -> Iterator[str]:
        """The keys of all these bytes, whether a snapshot names them or not."""
        if self.blobs_root.is_dir():
            folders = [entry.name for entry in self.blobs_root.iterdir() if not entry.name.startswith(".")]
            for folder in sorted(folders):
                yield from (stat.key for stat in self.blobs.list(folder))

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Make it where it is not there yet, and keep everybody else out.

        Raises:
            InvalidInput: it holds something else.
            Conflict: another process uses it.
            StorageFull, StorageFailed: it cannot be written.
        """
        with _told(self.root):
            self._make()
        with self._locked(is_shared=False), _told(self.root):
            for folder in self._folders():
                if not (folder / MANIFEST_NAME).exists():
                    shutil.rmtree(folder)
            for passing in self.root.glob(f"{PASSING_PREFIX}*"):
                passing.unlink()
            yield

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Keep everybody out who would change it; it may be on a disk that can only be read.

        Raises:
            InvalidInput: it is no backup.
            Conflict: another process writes to it.
        """
        if not (self.root / MARK_NAME).is_file():
            raise InvalidInput(
                f"{self.root} is no backup: name the folder that `text2song backup` was given."
            )
        with self._locked(is_shared=True):
            yield

    def begin(self, now: dt.datetime) -> Path:
        """The folder of a new snapshot, unfinished until `finish`."""
        taken = {folder.name for folder in self._folders()}
        names = (f"{now:%Y%m%dT%H%M%SZ}-{number:02}" for number in count(1))
        folder = self._snapshots / next(name for name in names if name not in taken)
        folder.mkdir(parents=True)
        return folder

    def finish(self, folder: Path, manifest: Manifest) -> Snapshot:
        """Write the manifest: from now on the snapshot counts, also after a loss of power."""
        unfinished = folder / f"{MANIFEST_NAME}.part"
        with unfinished.open("xb") as file:
            file.write(manifests.to_bytes(manifest))
            file.flush()
            os.fsync(file.fileno())
        sync_directory(folder)
        unfinished.replace(folder / MANIFEST_NAME)
        for directory in (folder, self._snapshots, self.root):
            sync_directory(directory)
        return Snapshot(folder, manifest)

    def snapshots(self) -> list[Snapshot]:
        """The finished ones, the newest first.

        Raises:
            BackupDamaged: a manifest that cannot be read.
        """
        finished = [folder for folder in self._folders() if (folder / MANIFEST_NAME).exists()]
        return [self._read(folder) for folder in reversed(finished)]

    def find(self, name: str | None) -> Snapshot:
        """The snapshot of that name; without one, the newest.

        Raises:
            InvalidInput: there is none.
            BackupDamaged: its manifest cannot be read.
        """
        finished = [folder for folder in self._folders() if (folder / MANIFEST_NAME).exists()]
        if not finished:
            raise InvalidInput(f"{self.root} holds no finished snapshot: run `text2song backup {self.root}`.")
        if name is None:
            return self._read(finished[-1])
        for folder in finished:
            if folder.name == name:
                return self._read(folder)
        names = ", ".join(folder.name for folder in finished)
        raise InvalidInput(f"{self.root} has no snapshot {name}; there is {names}.", field="snapshot")

    def remove(self, snapshots: Collection[Snapshot]) -> None:
        """Remove these for good. Their blobs stay: others may name them."""
        for snapshot in snapshots:
            (snapshot.folder / MANIFEST_NAME).unlink()
            sync_directory(snapshot.folder)
            shutil.rmtree(snapshot.folder)

    def _folders(self) -> Sequence[Path]:
        if not self._snapshots.is_dir():
            return []
        return sorted(folder for folder in self._snapshots.iterdir() if _NAME.fullmatch(folder.name))

    def _read(self, folder: Path) -> Snapshot:
        place = folder / MANIFEST_NAME
        try:
            data = place.read_bytes()
        except OSError as error:
            raise BackupDamaged(f"{place} cannot be read ({error.strerror}).") from error
        return Snapshot(folder, manifests.from_bytes(data, place=str(place)))

    def _make(self) -> None:
        mark = self.root / MARK_NAME
        unfinished = mark.with_suffix(".part")
        if mark.exists():
            return
        if self.root.exists() and (not self.root.is_dir() or set(self.root.iterdir()) - {unfinished}):
            raise InvalidInput(
                f"{self.root} holds something else than a backup: name a folder that is empty or not there "
                "yet. Nothing was changed."
            )
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)  # prompts are private
        said = {"what": "A backup of Text2Song Studio; see `text2song restore --help`", "format": 1}
        unfinished.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
        unfinished.replace(mark)

    @contextmanager
    def _locked(self, *, is_shared: bool) -> Iterator[None]:
        """The system drops the lock with its holder."""
        with (self.root / MARK_NAME).open("rb") as mark:
            try:
                _take(mark.fileno(), is_shared=is_shared)
            except BlockingIOError as error:
                raise Conflict(
                    f"another process uses the backup in {self.root}: wait for it to end, then try again."
                ) from error
            yield


@contextmanager
def _told(root: Path) -> Iterator[None]:
    """What the operating system refuses, as what a person can do about it."""
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise StorageFull(
                f"the disk that holds {root} is full. The snapshots that were there are whole: free some "
                "space and try again."
            ) from error
        raise StorageFailed(
            f"the folder {root} cannot be used ({error.strerror or error}): see to its disk and its "
            "permissions, then try again."
        ) from error


def _take(descriptor: int, *, is_shared: bool) -> None:
    try:
        import fcntl  # noqa: PLC0415  # Windows has none
    except ModuleNotFoundError:  # whoever runs two backups into one folder there has to mind it
        return
    fcntl.flock(descriptor, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
