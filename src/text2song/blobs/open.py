"""One URL decides where the blobs are; nothing above this asks which."""

from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit
from urllib.request import url2pathname

from text2song.blobs.local import LocalBlobs
from text2song.blobs.store import BlobStore
from text2song.errors import InvalidSetting

SETTING: Final = "TEXT2SONG_BLOBS_URL"


def open_store(url: str) -> BlobStore:
    """The store at `file:///absolute/folder`.

    Raises:
        InvalidSetting: any other URL.
        StorageFailed, StorageFull: the folder cannot be made.
    """
    return LocalBlobs(folder_of(url))


def folder_of(url: str) -> Path:
    """The folder that a URL names. Nothing is opened or made.

    Raises:
        InvalidSetting: any other URL.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        return _folder(parts, url=url)
    if parts.scheme == "memory":
        raise InvalidSetting(
            f"{SETTING} is {url!r}: no other process sees what is in memory, and it is gone when the studio "
            "ends. Use a folder, such as file:///srv/text2song/blobs.",
            field=SETTING,
        )
    if parts.scheme == "s3":
        raise InvalidSetting(
            f"{SETTING} is {url!r}, which is not available yet: S3 arrives with the server deployment. "
            "Until then use a folder, such as file:///srv/text2song/blobs.",
            field=SETTING,
        )
    raise InvalidSetting(
        f"{SETTING} is {url!r}, of no known kind: use file:///absolute/folder, such as "
        "file:///srv/text2song/blobs.",
        field=SETTING,
    )


def _folder(parts: SplitResult, *, url: str) -> Path:
    folder = Path(url2pathname(parts.path))
    is_plain = parts.netloc in {"", "localhost"} and not parts.query and not parts.fragment
    if not is_plain or not folder.is_absolute() or "\0" in str(folder):
        raise InvalidSetting(
            f"{SETTING} is {url!r}, which is no absolute folder: write it with three slashes, such as "
            "file:///srv/text2song/blobs, and with %23 for # and %3F for ?.",
            field=SETTING,
        )
    return folder
