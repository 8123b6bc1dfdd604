"""How bytes reach a player: whole or in ranges, cached for good, under a name a person can read."""

import os
import re
import unicodedata
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from text2song.audio import queries
from text2song.audio.tables import AudioSample
from text2song.errors import BlobMissing, InvalidInput, RangeUnsatisfiable, StorageFailed
from text2song.sound.files import FLAC, AudioFormat, decode, encode
from text2song.sound.tags import tags_of_take
from text2song.studio import Reader

FOREVER: Final = "private, max-age=31536000, immutable"
"""A sample's bytes never change, so what a browser has, it has."""
NAME_LIMIT: Final = 60
RANGE_SYNTAX: Final = re.compile(r"bytes=\s*(\d{0,18}-\d{0,18})(\s*,\s*\d{0,18}-\d{0,18}){0,99}\s*")


class SoundFileResponse(FileResponse):
    """A file in pieces of 256 kB: a quarter of the thread hops that Starlette's 64 kB need."""

    chunk_size = 256 * 1024


@dataclass(frozen=True, slots=True)
class StoredSound:
    """A sample's file as it lies on this machine."""

    path: Path
    stat: os.stat_result
    etag: str


def locate(reader: Reader, audio_id: uuid.UUID) -> StoredSound:
    """Where a sample's bytes are.

    Raises:
        NotFound: when there is no such sample.
        BlobMissing: when its bytes are gone.
    """
    sample = queries.get(reader, audio_id)
    path = reader.blobs.link(sample.storage_path)
    if not isinstance(path, Path):
        raise StorageFailed("this storage keeps no files that can be streamed from here.")
    try:
        return StoredSound(path, path.stat(), f'"{sample.sha256}"')
    except FileNotFoundError as error:
        raise BlobMissing(
            f"the sound of sample {audio_id} is missing from the storage folder: restore it from a backup, "
            "or make it again with `text2song generate --from-sample`."
        ) from error


def stream(request: Request, sound: StoredSound) -> Response:
    """The file, or the range of it that was asked for, or word that the caller has it already.

    Raises:
        InvalidInput: for a Range header that cannot be read.
        RangeUnsatisfiable: for a range beyond the end.
    """
    headers = {"ETag": sound.etag, "Cache-Control": FOREVER, "Accept-Ranges": "bytes"}
    if sound.etag in _listed(request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    asked, condition = request.headers.get("range"), request.headers.get("if-range")
    if asked is not None and condition in {None, sound.etag}:
        check_range(asked, size_bytes=sound.stat.st_size)
    return SoundFileResponse(sound.path, headers=headers, media_type=FLAC.media_type, stat_result=sound.stat)


def check_range(header: str, *, size_bytes: int) -> None:
    """Refuse what cannot be served, before Starlette would answer without saying why.

    Raises:
        InvalidInput: when it is not a list of byte ranges.
        RangeUnsatisfiable: when one lies beyond the end.
    """
    if not RANGE_SYNTAX.fullmatch(header):
        raise InvalidInput("Range must look like bytes=0-1023, bytes=1024- or bytes=-1024.", field="Range")
    for part in header.split("=", 1)[1].split(","):
        first, last = part.strip().split("-")
        if (not first and not last) or (first and last and int(last) < int(first)):
            raise InvalidInput(f"the range {part.strip()!r} has no beginning before its end.", field="Range")
        if (int(first) >= size_bytes) if first else (int(last) == 0):
            raise RangeUnsatisfiable(f"the file has {size_bytes} bytes.", size_bytes=size_bytes)


def transcode(reader: Reader, sample: AudioSample, *, into: AudioFormat) -> bytes:
    """The sample in another format, with prompt and seed in its tags; the stored file stays as it is."""
    waveform = decode(reader.blobs.read(sample.storage_path))
    tags = tags_of_take(
        sample.sentence,
        seed=sample.generation_params["seed"],
        model=sample.model,
        adapters=[adapter["digest"] for adapter in sample.generation_params["adapters"]],
        date=sample.created_at.date().isoformat(),
    )
    return encode(waveform, into=into, tags=tags)


def readable_name(sample: AudioSample, *, into: AudioFormat) -> str:
    """A file name that says what is inside: the first words, the seed, the end of the id.

    Letters of the Latin alphabet and digits only: such a name survives every file system.
    """
    plain = unicodedata.normalize("NFKD", sample.sentence).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "take"
    if len(words) > NAME_LIMIT:
        words = words[:NAME_LIMIT].rsplit("-", 1)[0]
    seed = sample.generation_params["seed"]
    return f"{words}_seed-{seed}_{sample.id.hex[-8:]}{into.extension}"


def _listed(header: str) -> set[str]:
    return {tag.strip().removeprefix("W/") for tag in header.split(",")}
