"""One URL decides where the blobs are; nothing above this asks which."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from text2song.blobs.address import SETTING, address_of
from text2song.blobs.local import LocalBlobs
from text2song.blobs.s3 import S3Blobs, S3Options
from text2song.blobs.store import BlobStore
from text2song.errors import InvalidSetting
from text2song.settings import Settings

_ONLY_S3: Final = (
    "TEXT2SONG_BLOBS_PUBLIC_URL and TEXT2SONG_BLOBS_ENCRYPTION are about a bucket, and {setting} names "
    "a folder: unset them, or name a bucket (s3://...)."
)


def open_blobs(settings: Settings) -> BlobStore:
    """The store that the settings describe, with the AWS_* environment of this process.

    Raises:
        InvalidSetting: a URL of no known kind, or options that are not for its kind.
        StorageFailed, StorageFull: the folder cannot be made.
    """
    options = S3Options(
        settings.blobs_public_url or None, settings.blobs_encryption, settings.blobs_redirect == "auto"
    )
    if not is_bucket(settings.blobs) and (options.public_url or options.encryption != "none"):
        raise InvalidSetting(_ONLY_S3.format(setting=SETTING), field="TEXT2SONG_BLOBS_PUBLIC_URL")
    return open_store(settings.blobs, options=options)


def open_store(
    url: str,
    *,
    options: S3Options = S3Options(),  # noqa: B008 - frozen
    environment: Mapping[str, str] | None = None,
    name: str = SETTING,
) -> BlobStore:
    """The store at `file:///absolute/folder` or `s3://bucket/prefix`; a bucket is not asked anything yet.

    `name` says in errors where the URL was given.

    Raises:
        InvalidSetting: any other URL, or an AWS_* environment that cannot be.
        StorageFailed, StorageFull: the folder cannot be made.
    """
    if is_bucket(url):
        given = os.environ if environment is None else environment
        return S3Blobs(address_of(url, given, name=name), options)
    return LocalBlobs(folder_of(url, name=name))


def is_bucket(url: str) -> bool:
    """Whether a URL is meant to name a bucket, and no folder."""
    return url.partition(":")[0].lower() == "s3"


def folder_of(url: str, *, name: str = SETTING) -> Path:
    """The folder that a URL names; `name` says in errors where it was given. Nothing is opened or made.

    Raises:
        InvalidSetting: any other URL. It is not repeated: whoever tries another scheme may have put a
            secret into it.
    """
    scheme = url.partition(":")[0].lower()
    if scheme == "file":
        return _folder(url, name=name)
    if scheme == "memory":
        raise InvalidSetting(
            f"{name} is {url!r}: no other process sees what is in memory, and it is gone when the studio "
            "ends. Use a folder, such as file:///srv/text2song/blobs.",
            field=name,
        )
    raise InvalidSetting(
        f"{name} is of no known kind: use file:///absolute/folder, such as file:///srv/text2song/blobs, "
        "or s3://bucket/prefix.",
        field=name,
    )


def _folder(url: str, *, name: str) -> Path:
    try:
        parts = urlsplit(url)
    except ValueError:  # a bracket in the wrong place
        parts = urlsplit("file:")
    folder = Path(url2pathname(parts.path))
    is_plain = parts.netloc in {"", "localhost"} and not parts.query and not parts.fragment
    if not is_plain or not folder.is_absolute() or "\0" in str(folder):
        raise InvalidSetting(
            f"{name} is {url!r}, which is no absolute folder: write it with three slashes, such as "
            "file:///srv/text2song/blobs, and with %23 for # and %3F for ?.",
            field=name,
        )
    return folder
