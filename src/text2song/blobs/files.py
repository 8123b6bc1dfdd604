"""A blob's bytes as a file of this machine, and whether they are those of its name."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from text2song.artifacts.digest import sha256_hex_of_stream
from text2song.blobs.keys import digest_in
from text2song.blobs.store import BlobStore
from text2song.errors import BlobMissing

PASSING_PREFIX: Final = ".passing-"
"""Of the files that live only while bytes pass through this machine."""


@contextlib.contextmanager
def as_file(store: BlobStore, key: str, *, scratch: Path | None = None) -> Iterator[Path]:
    """A blob's own file where it is one, else a passing copy, in `scratch` or where such files go."""
    own = store.link(key)
    if isinstance(own, Path):
        yield own
        return
    with tempfile.NamedTemporaryFile(dir=scratch, prefix=PASSING_PREFIX) as passing:
        for chunk in store.stream(key):
            passing.write(chunk)
        passing.flush()
        yield Path(passing.name)


def is_whole(path: Path, key: str) -> bool:
    """Whether a file holds what the key says.

    Raises:
        BlobMissing: it is gone.
    """
    try:
        with path.open("rb") as stream:
            return sha256_hex_of_stream(stream) == digest_in(key)
    except FileNotFoundError as error:
        raise BlobMissing(f"The stored file {key} is gone.") from error
