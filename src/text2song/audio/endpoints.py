"""`/audio`, but for the deletion: `generation` does that, since it is news of a job too."""

import uuid
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request, Response

from text2song.audio import delivery, queries
from text2song.audio.schemas import AudioSampleOut, Comparison, PeaksOut
from text2song.audio.tables import AudioSample
from text2song.db.pages import DEFAULT_LIMIT
from text2song.sound.files import FORMATS
from text2song.units import ReaderUnit, Visit, VisitUnit
from text2song.wire import IDS_PATTERN, Cursor, Id, Limit, Page, ids_of, problem_responses

router = APIRouter(prefix="/audio", tags=["audio"])

Answers = dict[int | str, dict[str, Any]]
FormatName = Literal["flac", "wav", "mp3", "ogg"]

_BYTES: Final[dict[str, Any]] = {"schema": {"type": "string", "format": "binary"}}
DOWNLOAD_ANSWER: Final[Answers] = {
    200: {"description": "The file.", "content": {kind.media_type: _BYTES for kind in FORMATS.values()}}
}
STREAM_ANSWERS: Final[Answers] = {
    200: {"description": "The whole file.", "content": {"audio/flac": _BYTES}},
    206: {
        "description": "The ranges that were asked for.",
        "content": {"audio/flac": _BYTES, "multipart/byteranges": _BYTES},
    },
    304: {"description": "The caller has it already."},
    307: {"description": "Where the storage itself serves the bytes, for an hour; send Range there too."},
}


def _header(name: str, description: str, example: str) -> dict[str, Any]:
    """A header that the endpoint reads for itself, for the documentation."""
    schema = {"type": "string", "examples": [example]}
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


STREAM_HEADERS: Final[dict[str, Any]] = {
    "parameters": [
        _header("Range", "The bytes that are wanted (RFC 9110, section 14.2).", "bytes=0-65535"),
        _header("If-Range", "The ETag for which Range holds; for another file all of it comes.", '"c9c7"'),
        _header("If-None-Match", "The ETag that the caller has: 304 if that is the file.", '"c9c7"'),
    ]
}


@router.get("", responses=problem_responses(400, 422))
def list_audio(
    reader: ReaderUnit,
    prompt_id: Id | None = None,
    adapter_id: Id | None = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Page[AudioSampleOut]:
    """Samples, newest first."""
    page = queries.find(reader, prompt_id=prompt_id, adapter_id=adapter_id, cursor=cursor, limit=limit)
    return Page(items=[queries.describe(sample) for sample in page.rows], next_cursor=page.next_cursor)


@router.get("/compare", responses=problem_responses(404, 422))
def compare_audio(
    reader: ReaderUnit,
    ids: Annotated[
        str,
        Query(
            max_length=1000,
            description=f"Ids of 1 to {queries.COMPARE_LIMIT} different samples, separated by commas.",
            json_schema_extra={"pattern": IDS_PATTERN},
        ),
    ],
) -> Comparison:
    """Samples side by side, with the playback gain that makes them equally loud."""
    return queries.compare(reader, ids_of(ids, most=queries.COMPARE_LIMIT))


@router.get("/{audio_id}", responses=problem_responses(404, 422))
def get_audio(audio_id: Id, reader: ReaderUnit) -> AudioSampleOut:
    """One sample: what it is and how it was made."""
    return queries.describe(queries.get(reader, audio_id))


@router.head("/{audio_id}/stream", include_in_schema=False)
@router.get(
    "/{audio_id}/stream",
    response_class=Response,
    responses=STREAM_ANSWERS | problem_responses(404, 416, 422, 500),
    openapi_extra=STREAM_HEADERS,
)
def stream_audio(audio_id: Id, request: Request, visit: VisitUnit) -> Response:
    """The FLAC file, whole or in ranges."""
    # by a visit, not a reader: no unit is held while it streams
    return delivery.stream(request, visit.studio.blobs, _sample(visit, audio_id))


@router.get("/{audio_id}/peaks", responses=problem_responses(404, 422, 500))
def get_peaks(audio_id: Id, visit: VisitUnit, response: Response) -> PeaksOut:
    """The outline of the waveform."""
    sample = _sample(visit, audio_id)
    outline = PeaksOut.model_validate_json(visit.studio.blobs.read(sample.peaks_path, verify=True))
    response.headers["Cache-Control"] = delivery.FOREVER
    return outline


@router.get(
    "/{audio_id}/download",
    response_class=Response,
    responses=DOWNLOAD_ANSWER | problem_responses(404, 422, 500),
)
def download_audio(
    audio_id: Id,
    visit: VisitUnit,
    format: Annotated[  # noqa: A002  # its name on the wire
        FormatName, Query(description="What to make of the stored FLAC.")
    ] = "flac",
) -> Response:
    """The sample as a file to keep, with prompt and seed in its name and tags."""
    into = FORMATS[format]
    sample = _sample(visit, audio_id)
    return Response(
        delivery.transcode(visit.studio.blobs, sample, into=into),
        media_type=into.media_type,
        headers={"Content-Disposition": delivery.content_disposition(sample, into=into)},
    )


def _sample(visit: Visit, audio_id: uuid.UUID) -> AudioSample:
    """The row, by a unit that is over before its bytes are read: those may take a while."""
    with visit.read() as reader:
        return queries.get(reader, audio_id)
