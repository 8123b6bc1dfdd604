"""What `blobs copy` does."""

from typing import Final

from text2song.audio.recording import FOLDERS
from text2song.blobs import copying
from text2song.blobs.copying import CopiedBlobs
from text2song.blobs.open import folder_of, is_bucket, open_store
from text2song.blobs.s3 import S3Options
from text2song.cli import opening
from text2song.cli.answer import Answer
from text2song.errors import InvalidInput, NotFound

MEGABYTE: Final = 1_000_000
SOURCE: Final = "FROM_URL"
TARGET: Final = "TO_URL"


def copy(answer: Answer, *, source_url: str, target_url: str, checks_all: bool) -> None:
    """Copy, and say how much.

    Raises:
        InvalidSetting: for a URL that names no store.
        InvalidInput: for one store under two names.
        NotFound: where there is nothing to copy from.
        BlobCorrupt, StorageFailed, StorageFull: see `blobs.copying`.
    """
    settings = opening.settings_for(answer, is_service=False)
    if source_url.rstrip("/") == target_url.rstrip("/"):
        raise InvalidInput(f"{SOURCE} and {TARGET} are the same place: name another one.")
    _require_there(source_url)

    def tell(done: CopiedBlobs) -> None:
        if not answer.is_json:
            answer.notice(f"{done.copied + done.kept:,} files, {done.copied_bytes / MEGABYTE:,.1f} MB copied")

    options = S3Options(encryption=settings.blobs_encryption)
    source = open_store(source_url, name=SOURCE)
    target = open_store(target_url, options=options, name=TARGET)
    done = copying.copy(source, target, folders=FOLDERS, verifies_all=checks_all, watch=tell)
    text = (
        f"Copied {done.copied:,} files ({done.copied_bytes / MEGABYTE:,.1f} MB) and compared their digests; "
        f"{done.kept:,} were there already. Now set TEXT2SONG_BLOBS_URL to {target_url}."
    )
    answer.give({"copied": done.copied, "bytes": done.copied_bytes, "kept": done.kept}, text=text)


def _require_there(url: str) -> None:
    """A folder is made where it is opened; one that is not there holds nothing to copy."""
    if not is_bucket(url) and not (folder := folder_of(url, name=SOURCE)).is_dir():
        raise NotFound(f"there is no folder {folder}: name the one that holds the bytes now.")
