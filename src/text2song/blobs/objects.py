"""What all backends share: a blob store on any object store that obstore speaks to."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, MemoryStore, S3Store

from text2song.artifacts.digest import sha256_hex, sha256_hex_of_stream
from text2song.blobs.keys import digest_in, is_key, key_for, require_folder
from text2song.blobs.store import CHUNK_BYTES, LINK_SECONDS, BlobStat, StoredBlob
from text2song.errors import BlobCorrupt, BlobMissing, RangeUnsatisfiable, StorageFailed, StudioError

Backend: TypeAlias = LocalStore | MemoryStore | S3Store


class ObjectBlobs:
    """A `BlobStore` on an object store whose own put is atomic and durable.

    A process must not fork after it has used one: the child inherits obstore's runtime without its
    threads, and its first read would wait for ever. Use the store in the children alone.
    """

    link_origin: str | None = None
    """No links that are URLs; see `BlobStore`."""

    def __init__(self, backend: Backend, *, place: str) -> None:
        self._backend = backend
        self._place = place
        """Where the blobs are, in words for a message."""

    def put(self, data: bytes | Path, *, folder: str, suffix: str) -> StoredBlob:
        """Store `data`; see `BlobStore`."""
        if isinstance(data, Path):
            with data.open("rb") as stream:
                sha256 = sha256_hex_of_stream(stream)
            size_bytes = data.stat().st_size
        else:
            sha256, size_bytes = sha256_hex(data), len(data)
        key = key_for(sha256, folder=folder, suffix=suffix)
        if not self._is_held(key, size_bytes=size_bytes):
            self._send(key, data)
        return StoredBlob(key, size_bytes, sha256)

    def read(self, key: str, *, start: int = 0, end: int | None = None, verify: bool = False) -> bytes:
        """A blob's bytes; see `BlobStore`."""
        if not verify:
            result = self._get(key, start=start, end=end)
            with self._explained(key):
                return b"" if result is None else bytes(result.bytes())
        whole = self.read(key)
        if sha256_hex(whole) != digest_in(key):
            raise BlobCorrupt(f"The stored file {key} is damaged: restore it from a backup.")
        self._require_inside(start=start, end=end, size_bytes=len(whole))
        return whole[start:end]

    def stream(
        self, key: str, *, start: int = 0, end: int | None = None, chunk_bytes: int = CHUNK_BYTES
    ) -> Iterator[bytes]:
        """A blob's bytes in chunks; see `BlobStore`."""
        if chunk_bytes < 1:
            raise ValueError(f"chunk_bytes must be positive, not {chunk_bytes}")
        result = self._get(key, start=start, end=end)
        return iter(()) if result is None else self._chunks(result, key=key, chunk_bytes=chunk_bytes)

    def stat(self, key: str) -> BlobStat:
        """Size and time; see `BlobStore`."""
        digest_in(key)
        with self._explained(key):
            meta = obstore.head(self._backend, key)
        return BlobStat(key, meta["size"], meta["last_modified"])

    def exists(self, key: str) -> bool:
        """Whether there is a blob at `key`; see `BlobStore`."""
        try:
            self.stat(key)
        except BlobMissing:
            return False
        return True

    def delete(self, key: str) -> None:
        """Remove the blob at `key`; see `BlobStore`."""
        digest_in(key)
        with contextlib.suppress(BlobMissing), self._explained(key):
            obstore.delete(self._backend, key)

    def list(self, folder: str) -> Iterator[BlobStat]:
        """Every blob in `folder`; see `BlobStore`."""
        self._require_reachable()
        with self._explained(folder):
            for page in obstore.list(self._backend, require_folder(folder)):
                for meta in page:
                    if is_key(meta["path"]):
                        yield BlobStat(meta["path"], meta["size"], meta["last_modified"])

    def require_writable(self) -> None:
        """A storage that answers is all that can be known without writing; see `BlobStore`."""
        next(self.list("audio"), None)

    def link(self, key: str, *, expires_seconds: int = LINK_SECONDS) -> Path | str | None:  # noqa: ARG002  # the port's
        """No shorter way; see `BlobStore`."""
        self.stat(key)
        return None

    def _is_held(self, key: str, *, size_bytes: int) -> bool:
        """Whether the bytes are there already; a damaged blob of another size is none, and is replaced."""
        try:
            return self.stat(key).size_bytes == size_bytes
        except BlobMissing:
            return False

    def _send(self, key: str, data: bytes | Path) -> None:
        with self._explained(key):
            obstore.put(self._backend, key, data)

    def _get(self, key: str, *, start: int, end: int | None) -> "obstore.GetResult | None":
        """The open answer for a range, or None for no bytes, which object stores refuse to give."""
        digest_in(key)
        with self._explained(key):
            if start == 0 and end is None:
                return obstore.get(self._backend, key)
            if start >= 0 and (end is None or end > start):
                wanted: obstore.OffsetRange | tuple[int, int] = (
                    {"offset": start} if end is None else (start, end)
                )
                try:
                    return obstore.get(self._backend, key, options={"range": wanted})
                except BaseError as error:
                    if not self._may_lie_beyond(error) or start < self.stat(key).size_bytes:
                        raise
        self._require_inside(start=start, end=end, size_bytes=self.stat(key).size_bytes)
        return None

    def _require_inside(self, *, start: int, end: int | None, size_bytes: int) -> None:
        if not 0 <= start <= size_bytes or (end is not None and end < start):
            raise RangeUnsatisfiable(
                f"Bytes from {start} to {'the end' if end is None else end} were asked for; "
                f"the file has {size_bytes}.",
                size_bytes=size_bytes,
            )

    def _chunks(self, result: "obstore.GetResult", *, key: str, chunk_bytes: int) -> Iterator[bytes]:
        """Backends give pieces of their own sizes, from 8 KiB to the whole."""
        with self._explained(key):
            for piece in result.stream(min_chunk_size=chunk_bytes):
                for at in range(0, len(piece), chunk_bytes):
                    yield piece[at : at + chunk_bytes]

    @contextlib.contextmanager
    def _explained(self, key: str) -> Iterator[None]:
        """Backend errors as the studio's own."""
        try:
            yield
        except (BaseError, OSError) as error:
            raise self._meaning_of(error, key=key) from error

    def _meaning_of(self, error: BaseException, *, key: str) -> StudioError:
        """What a backend's error says to a person."""
        if isinstance(error, FileNotFoundError):
            self._require_reachable()
            return self._missing(key)
        reason = str(error).partition("\n")[0]
        return StorageFailed(f"The storage {self._place} refuses ({reason}): see to it, then try again.")

    def _missing(self, key: str) -> BlobMissing:
        return BlobMissing(f"The stored file {key} is missing: restore it from a backup.")

    def _may_lie_beyond(self, error: BaseError) -> bool:  # noqa: ARG002 - not every backend's errors tell
        """Whether this may be how the backend refuses a range beyond the end."""
        return True

    def _require_reachable(self) -> None:
        """Raise StorageFailed where all of the storage is gone, so that no single blob is called missing."""
