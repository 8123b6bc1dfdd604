"""How bytes reach a player: whole or in ranges, cached for good, under a name a person can read."""

import os
import re
import unicodedata
from pathlib import Path
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from text2song.audio.tables import AudioSample
from text2song.blobs.store import LINK_SECONDS, BlobStore
from text2song.errors import BlobCorrupt, BlobMissing, InvalidInput, RangeUnsatisfiable
from text2song.sound.files import FLAC, AudioFormat, decode, encode
from text2song.sound.tags import tags_of_take

LINK_CACHING: Final = f"private, max-age={LINK_SECONDS // 4}"
"""Of the way to a link: a player that follows it as late as that still has most of the link's life."""
FOREVER: Final = "private, max-age=31536000, immutable"
"""A sample's bytes never change, so what a browser has, it has."""
NAME_LIMIT_BYTES: Final = 120
"""Of the words; with seed and id the name stays far below the 255 bytes that file systems allow."""
RANGE_SYNTAX: Final = re.compile(r"bytes=\s*([0-9]*-[0-9]*)(\s*,\s*[0-9]*-[0-9]*){0,99}\s*", re.IGNORECASE)
OTHER_UNIT: Final = re.compile(r"(?!bytes\s*=)[A-Za-z0-9!#$%&'*+.^_`|~-]+=", re.IGNORECASE)
"""A unit that this server does not know; RFC 9110, section 14.2, has it ignored."""
_FARTHEST: Final = "9" * 18
_REMEDY: Final = "Restore it from a backup, or make it again with `text2song generate --from-sample`."


class SoundFileResponse(FileResponse):
    """A file in pieces of 256 kB: a quarter of the thread hops that Starlette's 64 kB need."""

    chunk_size = 256 * 1024

    def __init__(
        self, path: Path, stat: os.stat_result, *, honoured_range: str | None, headers: dict[str, str]
    ) -> None:
        super().__init__(path, headers=headers, media_type=FLAC.media_type, stat_result=stat)
        self._honoured_range = honoured_range

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the range that was found to be good, whatever the request's header says besides."""
        headers = [(name, value) for name, value in scope["headers"] if name not in {b"range", b"if-range"}]
        if self._honoured_range is not None:
            headers.append((b"range", self._honoured_range.encode()))
        await super().__call__({**scope, "headers": headers}, receive, send)


def stream(request: Request, blobs: BlobStore, sample: AudioSample) -> Response:
    """The bytes, or the range of them that was asked for, or word that the caller has them already.

    By the shortest way that the storage knows: from a file on this machine, from a URL of its own, or
    through this process. Such a URL is signed for GET alone, so HEAD is answered here. So is a page of
    another origin: after a redirect to a third one, its browser asks as `Origin: null` and with
    credentials (Fetch, HTTP-redirect fetch), which buckets do not answer.

    Raises:
        BlobMissing: when the bytes are gone.
        BlobCorrupt: when they are not as many as they were.
        InvalidInput: for a Range header that cannot be read.
        RangeUnsatisfiable: for a range beyond the end.
    """
    try:
        way = blobs.link(sample.storage_path)
        stat = way.stat() if isinstance(way, Path) else None
        _require_whole(
            sample, size_bytes=stat.st_size if stat else blobs.stat(sample.storage_path).size_bytes
        )
    except (BlobMissing, FileNotFoundError) as error:
        raise _missing(sample) from error
    etag = f'"{sample.sha256}"'
    headers = {"ETag": etag, "Cache-Control": FOREVER, "Accept-Ranges": "bytes"}
    if _listed(request.headers.get("if-none-match", "")) & {etag, "*"}:
        return Response(status_code=304, headers=headers)
    asked = request.headers.get("range")
    # RFC 9110: only GET has ranges (14.2), and If-Range must match the strong ETag (13.1.5)
    if request.method != "GET" or request.headers.get("if-range", etag) != etag:
        asked = None
    honoured = None if asked is None else honoured_range(asked, size_bytes=sample.size_bytes)
    if isinstance(way, str) and request.method == "GET" and "origin" not in request.headers:
        return RedirectResponse(
            way, status_code=307, headers={"Cache-Control": LINK_CACHING, "Vary": "Origin"}
        )
    if isinstance(way, Path) and stat:
        return SoundFileResponse(way, stat, honoured_range=honoured, headers=headers)
    return _passed_on(request, blobs, sample, honoured_range=honoured, headers=headers)


def _passed_on(
    request: Request,
    blobs: BlobStore,
    sample: AudioSample,
    *,
    honoured_range: str | None,
    headers: dict[str, str],
) -> Response:
    """Through this process. One range is served; of several, all comes (RFC 9110, 14.2, allows that)."""
    span = single_span(honoured_range, size_bytes=sample.size_bytes)
    start, end = span or (0, sample.size_bytes)
    if span:
        headers = headers | {"Content-Range": f"bytes {start}-{end - 1}/{sample.size_bytes}"}
    headers = headers | {"Content-Length": str(end - start)}
    if request.method == "HEAD":
        return Response(headers=headers, media_type=FLAC.media_type)
    chunks = blobs.stream(sample.storage_path, start=start, end=end)
    return StreamingResponse(
        chunks, status_code=206 if span else 200, headers=headers, media_type=FLAC.media_type
    )


def single_span(honoured_range: str | None, *, size_bytes: int) -> tuple[int, int] | None:
    """From where to where (excluded) a range goes that `honoured_range` found good; None for several."""
    spans = (honoured_range or "").removeprefix("bytes=").split(",")
    if honoured_range is None or len(spans) != 1:
        return None
    first, last = spans[0].split("-")
    if not first:
        return max(0, size_bytes - int(last)), size_bytes
    return int(first), min(int(last) + 1, size_bytes) if last else size_bytes


def honoured_range(header: str, *, size_bytes: int) -> str | None:
    """The ranges of a Range header that exist (RFC 9110, section 14.1.2); None for a unit other than bytes.

    Raises:
        InvalidInput: when it is not a list of ranges.
        RangeUnsatisfiable: when all of them lie beyond the end.
    """
    if not RANGE_SYNTAX.fullmatch(header):
        if OTHER_UNIT.match(header):
            return None
        raise InvalidInput("Range must look like bytes=0-1023, bytes=1024- or bytes=-1024.", field="Range")
    honoured = []
    for part in header.split("=", 1)[1].split(","):
        first, last = map(_within_reach, part.strip().split("-"))
        if (not first and not last) or (first and last and int(last) < int(first)):
            raise InvalidInput(f"the range {part.strip()!r} has no beginning before its end.", field="Range")
        if int(first) < size_bytes if first else int(last) > 0:
            honoured.append(f"{first}-{last}")
    if not honoured:
        raise RangeUnsatisfiable(
            f"the file has {size_bytes} bytes: ask for a range within them.", size_bytes=size_bytes
        )
    return f"bytes={','.join(honoured)}"


def _within_reach(digits: str) -> str:
    """The same position, or one beyond the end of every file: Python reads no number of many digits."""
    known = digits.lstrip("0") or digits[:1]
    return known if len(known) <= len(_FARTHEST) else _FARTHEST


def transcode(blobs: BlobStore, sample: AudioSample, *, into: AudioFormat) -> bytes:
    """The sample in another format, with prompt and seed in its tags; the stored file stays as it is.

    Raises:
        BlobMissing, BlobCorrupt: when the stored bytes are not what they were.
        InvalidInput: when that format cannot hold the sample's rate.
    """
    try:
        stored = blobs.read(sample.storage_path, verify=True)
    except BlobMissing as error:
        raise _missing(sample) from error
    tags = tags_of_take(
        sample.sentence,
        seed=sample.generation_params["seed"],
        model=sample.model,
        adapters=[adapter["digest"] for adapter in sample.generation_params["adapters"]],
        date=sample.created_at.date().isoformat(),
        is_untrained_noise=not sample.provenance["is_trained"],
    )
    return encode(decode(stored), into=into, tags=tags)


def content_disposition(sample: AudioSample, *, into: AudioFormat) -> str:
    """Save it as a file whose name says what is inside: the first words, the seed, the end of the id.

    Letters and digits only, so that the name survives every file system. The words stand there in
    their own script (RFC 6266, section 4.3); the plain name is for clients that cannot read it.
    """
    ending = f"_seed-{sample.generation_params['seed']}_{sample.id.hex[-8:]}{into.extension}"
    words = _words(sample.sentence)
    plain = _words(unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode())
    own = quote(words + ending)
    return f"attachment; filename=\"{plain}{ending}\"; filename*=UTF-8''{own}"


def _words(text: str) -> str:
    words = re.sub(r"[\W_]+", "-", unicodedata.normalize("NFC", text).lower()).strip("-") or "take"
    if len(words.encode()) <= NAME_LIMIT_BYTES:
        return words
    cut = words.encode()[:NAME_LIMIT_BYTES].decode(errors="ignore")
    return cut.rsplit("-", 1)[0]


def _require_whole(sample: AudioSample, *, size_bytes: int) -> None:
    if size_bytes != sample.size_bytes:
        raise BlobCorrupt(
            f"the sound of sample {sample.id} is damaged: its file has {size_bytes} bytes instead of "
            f"{sample.size_bytes}. {_REMEDY}"
        )


def _missing(sample: AudioSample) -> BlobMissing:
    return BlobMissing(f"the sound of sample {sample.id} is missing from the storage. {_REMEDY}")


def _listed(header: str) -> set[str]:
    return {tag.strip().removeprefix("W/") for tag in header.split(",")}
