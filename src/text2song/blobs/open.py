"""One URL decides where the blobs are; nothing above this asks which."""

from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from urllib.request import url2pathname

from text2song.blobs.local import LocalBlobs
from text2song.blobs.memory import MemoryBlobs
from text2song.blobs.store import BlobStore
from text2song.errors import InvalidSetting


def open_store(url: str) -> BlobStore:
    """The store at `file:///absolute/folder` or, for tests, a new one at `memory://`.

    Raises:
        InvalidSetting: any other URL.
        StorageFailed, StorageFull: the folder cannot be made.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        return LocalBlobs(_folder(parts, url=url))
    if parts.scheme == "memory":
        return MemoryBlobs()
    if parts.scheme == "s3":
        raise InvalidSetting(
            f"The storage {url!r} is not available yet: S3 arrives with the server deployment. "
            "Until then use a folder, such as file:///srv/text2song/blobs.",
            field="blobs_url",
        )
    raise InvalidSetting(
        f"The storage {url!r} is of no known kind: use file:///absolute/folder.", field="blobs_url"
    )


def _folder(parts: SplitResult, *, url: str) -> Path:
    folder = Path(url2pathname(parts.path))
    is_plain = parts.netloc in {"", "localhost"} and not parts.query and not parts.fragment
    if not is_plain or not folder.is_absolute() or "\0" in str(folder):
        raise InvalidSetting(
            f"The storage {url!r} is not an absolute folder: write it with three slashes, such as "
            "file:///srv/text2song/blobs, and with %23 for # and %3F for ?.",
            field="blobs_url",
        )
    return folder
