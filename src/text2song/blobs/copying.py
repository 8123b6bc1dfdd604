"""Moving blobs from one store to another: from files to S3, or back.

May be broken off and begun again at any time: what is there already is passed over. Names are digests,
so whatever is copied is compared with its name on both sides.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Final

from text2song.blobs.files import as_file, is_whole
from text2song.blobs.keys import digest_in, place_in
from text2song.blobs.store import BlobStat, BlobStore
from text2song.errors import BlobCorrupt, BlobMissing

COPIERS: Final = 8
"""Threads: a distant store takes many small files at a time as fast as one."""
PIECE: Final = 256
"""Blobs that are looked at together."""
SHOWN: Final = 3
"""Damaged blobs that a message names; the others are counted."""


@dataclass(frozen=True, slots=True)
class CopiedBlobs:
    """What a run did."""

    copied: int = 0
    copied_bytes: int = 0
    kept: int = 0
    """That were there before."""
    damaged: tuple[str, ...] = ()
    """Keys whose bytes are not those of their names, in the source."""

    def __add__(self, other: "CopiedBlobs") -> "CopiedBlobs":
        """Both together."""
        return CopiedBlobs(
            self.copied + other.copied,
            self.copied_bytes + other.copied_bytes,
            self.kept + other.kept,
            self.damaged + other.damaged,
        )


def copy(
    source: BlobStore,
    target: BlobStore,
    *,
    folders: Iterable[str],
    verifies_all: bool = False,
    watch: Callable[[CopiedBlobs], object] = lambda _: None,
) -> CopiedBlobs:
    """Copy every blob of these folders; `watch` hears after each piece what was done by then.

    What was there before has the right name and size; with `verifies_all` its bytes are read, too, and
    copied anew where they are damaged.

    Raises:
        BlobCorrupt: some blobs of the source are damaged; all others were copied.
        StorageFull, StorageFailed: when a store fails; another run goes on from there.
    """
    done = CopiedBlobs()
    with ThreadPoolExecutor(COPIERS) as pool:
        for piece in _pieces(source, folders):
            for one in pool.map(lambda stat: _copy_one(stat, source, target, verifies=verifies_all), piece):
                done += one
            watch(done)
    if done.damaged:
        more = len(done.damaged) - SHOWN
        named = ", ".join(done.damaged[:SHOWN]) + (f" and {more} more" if more > 0 else "")
        raise BlobCorrupt(
            f"these stored files are damaged and were not copied: {named}. Restore them from a backup, and "
            "copy again; everything else is there."
        )
    return done


def _pieces(source: BlobStore, folders: Iterable[str]) -> Iterator[list[BlobStat]]:
    for folder in folders:
        blobs = source.list(folder)
        while piece := list(islice(blobs, PIECE)):
            yield piece


def _copy_one(stat: BlobStat, source: BlobStore, target: BlobStore, *, verifies: bool) -> CopiedBlobs:
    key = stat.key
    is_damaged = False
    try:
        _require_there(stat, target, verifies=verifies)
    except BlobMissing:
        pass
    except BlobCorrupt:
        is_damaged = True
    else:
        return CopiedBlobs(kept=1)
    folder, suffix = place_in(key)
    try:
        with as_file(source, key) as file:
            if not is_whole(file, key):
                return CopiedBlobs(damaged=(key,))
            if is_damaged:  # a put would take it for the same
                target.delete(key)
            target.put(file, folder=folder, suffix=suffix)
    except (BlobMissing, FileNotFoundError):
        if source.exists(key):
            raise
        # deleted since it was listed
        return CopiedBlobs()
    _require_whole(target, key)
    return CopiedBlobs(copied=1, copied_bytes=stat.size_bytes)


def _require_there(stat: BlobStat, target: BlobStore, *, verifies: bool) -> None:
    if target.stat(stat.key).size_bytes != stat.size_bytes:
        raise BlobCorrupt(f"The stored file {stat.key} has another size in the new place.")
    if verifies:
        _require_whole(target, stat.key)


def _require_whole(store: BlobStore, key: str) -> None:
    hashed = hashlib.sha256()
    for chunk in store.stream(key):
        hashed.update(chunk)
    if hashed.hexdigest() != digest_in(key):
        raise BlobCorrupt(f"The stored file {key} is damaged: restore it from a backup.")
