"""The port for bytes: sound files, codes, bundles. Rows say which bytes; blobs hold them.

Every backend passes the one suite in `tests/contracts/test_blobs.py`.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

CHUNK_BYTES: Final = 256 * 1024
LINK_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """What `put` stored; a row keeps all three."""

    key: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class BlobStat:
    """What is known of a blob without reading it."""

    key: str
    size_bytes: int
    modified_at: dt.datetime
    """In UTC. Of the first `put` of these bytes."""


class BlobStore(Protocol):
    """Content-addressed, immutable blobs.

    What every backend owes:

    - **A put is atomic.** A reader sees all of a blob or none of it, also while several threads or
      processes put the same bytes. When `put` returns, every later `read` anywhere finds the blob,
      and a `kill -9` of this process cannot undo it. Each backend says what a loss of power can do.
    - **A put is idempotent.** The same bytes in the same folder with the same suffix are one blob.
    - **A failed put leaves nothing** that can be read or listed, and nothing that fills the disk for ever.
    - **Ranges** are `start` (included) to `end` (excluded; None means the end of the blob). An `end`
      beyond the blob is cut to it; `start` equal to the size gives no bytes.
    - **Threads** may share one store. Processes may share what it stores.
    - **A link needs no round trip.** Where it is a URL, `stat` tells whether the blob is there, and the link
      to one that is not leads to a 404. The same key gives the same URL for a while, in every process of
      the same settings, so that caches hit.

    Because two rows may mean the same blob, `delete` is only for whoever has made sure that no row does.

    Raises, from every method that can meet it:
        BlobMissing: there is no blob at that key.
        BlobCorrupt: the bytes are not the ones that were put (only when asked to verify).
        RangeUnsatisfiable: `start` lies beyond the blob, or after `end`.
        StorageFull: there is no space left.
        StorageFailed: the storage cannot be reached, or refuses.
        InvalidInput: what was given as a key is not one.
    """

    @property
    def link_origin(self) -> str | None:
        """Scheme, host and port of the URLs that `link` gives: pages must allow it. None: it gives none."""
        ...

    def put(self, data: bytes | Path, *, folder: str, suffix: str) -> StoredBlob:
        """Store `data`, or the file at that path, as `folder/ab/abcd….suffix` (`suffix` with its dot)."""
        ...

    def read(self, key: str, *, start: int = 0, end: int | None = None, verify: bool = False) -> bytes:
        """A blob's bytes; `verify` reads all of it, whatever the range, and checks its sha256."""
        ...

    def stream(
        self, key: str, *, start: int = 0, end: int | None = None, chunk_bytes: int = CHUNK_BYTES
    ) -> Iterator[bytes]:
        """A blob's bytes in chunks of at most `chunk_bytes`.

        A missing blob or a bad range is raised by this call, before the first chunk is asked for. A
        blob that is deleted meanwhile is still streamed to its end by the local backend.
        """
        ...

    def stat(self, key: str) -> BlobStat:
        """Size and time."""
        ...

    def exists(self, key: str) -> bool:
        """Whether there is a blob at `key`; an unreachable storage is an error, not a no."""
        ...

    def delete(self, key: str) -> None:
        """Remove the blob at `key`, if there is one."""
        ...

    def list(self, folder: str) -> Iterator[BlobStat]:
        """Every blob in `folder`, in no order, however many; foreign files are passed over."""
        ...

    def require_writable(self) -> None:
        """Raise what a `put` would surely raise now; cheap, and silence is no promise."""
        ...

    def link(self, key: str, *, expires_seconds: int = LINK_SECONDS) -> Path | str | None:
        """A shorter way to the bytes: a local file, a URL that holds for `expires_seconds`, or None."""
        ...
