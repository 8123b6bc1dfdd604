"""Blobs from one store to another, several at a time, each checked against its own name on the way."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal

from text2song.backup.rows import read_lines
from text2song.blobs.copying import COPIERS, PIECE
from text2song.blobs.files import as_file, is_whole
from text2song.blobs.keys import place_in
from text2song.blobs.store import BlobStore
from text2song.disks import sync_directory
from text2song.errors import BlobMissing

Fate = Literal["there", "copied", "missing", "damaged"]
Watch = Callable[[int], object]
"""Told how many blobs were looked at, as they are."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What became of the blobs of one list."""

    copied: int = 0
    lost: dict[str, Literal["missing", "damaged"]] = field(default_factory=dict)
    """Those that the source does not have as they were put."""


def copy_all(keys: Path, copy: Callable[[str], Fate], *, watch: Watch) -> Copied:
    """`copy` every key of the list in the file `keys`, in bounded memory.

    Raises:
        StorageFull, StorageFailed: one of the stores refuses.
    """
    lines = read_lines(keys)
    copied, seen, lost = 0, 0, {}
    with ThreadPoolExecutor(COPIERS, "blobs") as copiers:
        while piece := list(islice(lines, PIECE)):
            for key, fate in zip(piece, copiers.map(copy, piece), strict=True):
                copied += fate == "copied"
                if fate in {"missing", "damaged"}:
                    lost[key] = fate
            seen += len(piece)
            watch(seen)
    return Copied(copied, lost)


def copy_blob(
    key: str, *, source: BlobStore, target: BlobStore, scratch: Path, link_under: Path | None = None
) -> Fate:
    """Bring one blob to `target`; what is there already is believed. `scratch` is a folder for its bytes.

    With `link_under`, the folder of `target`, files of one disk share their bytes. A blob's file is never
    written again, only replaced, so that one cannot spoil the other.

    Raises:
        StorageFull, StorageFailed: one of the stores refuses.
    """
    if target.exists(key):
        return "there"
    try:
        with as_file(source, key, scratch=scratch) as path:
            if not is_whole(path, key):
                return "damaged"
            if link_under is None or not _link(path, link_under / key):
                folder, suffix = place_in(key)
                target.put(path, folder=folder, suffix=suffix)
    except (BlobMissing, FileNotFoundError):
        return "missing"
    return "copied"


def heal_blob(key: str, *, source: BlobStore, target: BlobStore, scratch: Path) -> Fate:
    """`copy_blob`, but what `target` has is read, and replaced where it is damaged."""
    try:
        with as_file(target, key, scratch=scratch) as path:
            if is_whole(path, key):
                return "there"
        target.delete(key)
    except BlobMissing:
        pass
    return copy_blob(key, source=source, target=target, scratch=scratch)


def _link(path: Path, place: Path) -> bool:
    """Give a file another name; not on another disk, and not where a file system knows no links."""
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, place)
    except OSError:
        return False
    sync_directory(place.parent)
    return True
