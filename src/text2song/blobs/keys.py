"""How a blob is named: by its folder and by the sha256 of its bytes.

A key looks like `audio/ab/abcd….flac`. The two digits in the middle keep any one directory small.
Since the digest is in the name, the same bytes are one blob, a blob never changes, and a reader
can check it with nothing but its key.
"""

import re
from typing import Final

from text2song.errors import InvalidInput

_FOLDER: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_SUFFIX: Final = re.compile(r"(\.[a-z0-9]{1,16}){1,2}")
_KEY: Final = re.compile(
    rf"(?P<folder>{_FOLDER.pattern})/(?P<shard>[0-9a-f]{{2}})/(?P<digest>[0-9a-f]{{64}})(?P<suffix>{_SUFFIX.pattern})"
)


def key_for(sha256: str, *, folder: str, suffix: str) -> str:
    """The key of the bytes with this digest.

    Raises:
        ValueError: a folder or suffix (with its dot) of other characters than lower-case ASCII; a
            programming error, for people choose neither.
    """
    key = f"{require_folder(folder)}/{sha256[:2]}/{sha256}{suffix}"
    if not is_key(key):
        raise ValueError(f"no blob key can be made of {sha256!r} and {suffix!r}")
    return key


def require_folder(folder: str) -> str:
    """`folder`, when it is one plain name.

    Raises:
        ValueError: it is not; a programming error.
    """
    if not _FOLDER.fullmatch(folder):
        raise ValueError(f"{folder!r} cannot be a folder of blobs")
    return folder


def is_key(text: str) -> bool:
    """Whether `text` is a key: no other name can ever reach a backend, so none can climb out of it."""
    match = _KEY.fullmatch(text)
    return match is not None and match["digest"].startswith(match["shard"])


def digest_in(key: str) -> str:
    """The sha256 that the blob at `key` must have.

    Raises:
        InvalidInput: `key` is not one that `put` has made.
    """
    match = _KEY.fullmatch(key)
    if match is None or not is_key(key):
        raise InvalidInput(f"{key!r} is not the key of a stored file: use the one that storing it returned.")
    return match["digest"]


def place_in(key: str) -> tuple[str, str]:
    """The folder and the suffix with which the blob at `key` was put.

    >>> place_in(f"audio/ab/ab{62 * '0'}.flac")
    ('audio', '.flac')

    Raises:
        InvalidInput: `key` is not one that `put` has made.
    """
    digest_in(key)
    match = _KEY.fullmatch(key)
    assert match is not None  # noqa: S101  # for the type checker: `digest_in` has looked
    return match["folder"], match["suffix"]
