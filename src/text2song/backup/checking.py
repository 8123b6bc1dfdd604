"""Whether a backup is whole: every digest of every file, before anybody needs it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Final

from text2song.artifacts.digest import sha256_hex_of_stream
from text2song.backup.copying import Watch
from text2song.backup.folder import BackupFolder, Snapshot
from text2song.backup.manifest import WrittenFile
from text2song.backup.rows import read_lines
from text2song.blobs.copying import COPIERS, PIECE
from text2song.blobs.files import is_whole
from text2song.errors import BackupDamaged, BlobMissing

SHOWN: Final = 5
"""Faults that a message names; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found."""

    snapshots: tuple[str, ...]
    blobs: int
    """Looked at, each once."""
    faults: tuple[str, ...]
    """What is wrong, one sentence each."""
    lost: tuple[str, ...]
    """Keys that the studio had lost already when it was backed up."""


def check(folder: BackupFolder, snapshots: tuple[Snapshot, ...], *, watch: Watch = lambda _: None) -> Verdict:
    """Read every file of these snapshots and of the blobs that they name."""
    faults = [fault for snapshot in snapshots for fault in _faults_of_files(snapshot)]
    seen: set[str] = set()
    if not faults:  # a list that is damaged cannot say what to look at
        for snapshot in snapshots:
            keys = (key for key in _keys(snapshot) if key not in seen)
            for key, fault in _looked_at(folder, keys):
                seen.add(key)
                watch(len(seen))
                if fault and key not in snapshot.manifest.lost:
                    faults.append(fault)
    return Verdict(
        snapshots=tuple(snapshot.name for snapshot in snapshots),
        blobs=len(seen),
        faults=tuple(faults),
        lost=tuple(sorted({key for snapshot in snapshots for key in snapshot.manifest.lost})),
    )


def require_whole(verdict: Verdict, *, folder: BackupFolder) -> None:
    """Check that nothing is wrong.

    Raises:
        BackupDamaged: something is.
    """
    if not verdict.faults:
        return
    more = len(verdict.faults) - SHOWN
    told = "; ".join(verdict.faults[:SHOWN]) + (f"; and {more} more" if more > 0 else "")
    raise BackupDamaged(
        f"the backup in {folder.root} is damaged: {told}. Restore from another snapshot or another copy. "
        "Delete the damaged files of `blobs`, and the next backup brings them anew if the studio has them."
    )


def _faults_of_files(snapshot: Snapshot) -> Iterator[str]:
    for file in (*(table.file for table in snapshot.manifest.tables), snapshot.manifest.blobs):
        fault = _fault_of_file(snapshot, file)
        if fault:
            yield f"{snapshot.name}/{file.name} {fault}"


def _fault_of_file(snapshot: Snapshot, file: WrittenFile) -> str | None:
    path = snapshot.folder / file.name
    try:
        with path.open("rb") as stream:
            if sha256_hex_of_stream(stream) != file.sha256:
                return "is not as it was written"
        if sum(1 for _ in read_lines(path)) != file.lines:
            return "has not the lines that it should have"
    except BackupDamaged as error:
        return error.message
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return None


def _keys(snapshot: Snapshot) -> Iterator[str]:
    return read_lines(snapshot.folder / snapshot.manifest.blobs.name)


def _looked_at(folder: BackupFolder, keys: Iterator[str]) -> Iterator[tuple[str, str | None]]:
    def look(key: str) -> str | None:
        try:
            return None if is_whole(folder.blobs_root / key, key) else f"blobs/{key} is damaged"
        except BlobMissing:
            return f"blobs/{key} is missing"
        except OSError as error:
            return f"blobs/{key} cannot be read ({error.strerror})"

    with ThreadPoolExecutor(COPIERS, "blobs") as readers:
        while piece := list(islice(keys, PIECE)):
            yield from zip(piece, readers.map(look, piece), strict=True)
