"""Reading audio samples."""

import uuid
from collections.abc import Sequence
from typing import Final

from sqlalchemy import select

from text2song.audio.schemas import AudioSampleOut, ComparedSample, Comparison, Provenance, TakeParams
from text2song.audio.tables import AudioSample
from text2song.db import rows
from text2song.db.pages import RowPage
from text2song.errors import InvalidInput
from text2song.sound.loudness import Loudness, playback_gain_db
from text2song.studio import Reader
from text2song.users.ownership import page, visible

COMPARE_LIMIT: Final = 16
_PLACE: Final = rows.Place("audio sample", "/audio")


def get(reader: Reader, audio_id: uuid.UUID) -> AudioSample:
    """The sample with that id.

    Raises:
        NotFound: when there is none that the actor may see.
    """
    return rows.get(reader.session, AudioSample, audio_id, place=_visible_to(reader))


def find(
    reader: Reader,
    *,
    prompt_id: uuid.UUID | None,
    adapter_id: uuid.UUID | None,
    cursor: str | None,
    limit: int,
) -> RowPage[AudioSample]:
    """A page of samples, newest first."""
    wanted = {AudioSample.prompt_id: prompt_id, AudioSample.adapter_id: adapter_id}
    query = rows.matching(select(AudioSample), wanted)
    return page(reader, query, table=AudioSample, cursor=cursor, limit=limit)


def compare(reader: Reader, audio_ids: Sequence[uuid.UUID]) -> Comparison:
    """Samples in the order that was asked for, with gains that make them equally loud.

    Raises:
        NotFound: when one of them does not exist.
        InvalidInput: for more than sixteen, or the same one twice.
    """
    if not 1 <= len(audio_ids) <= COMPARE_LIMIT or len(set(audio_ids)) < len(audio_ids):
        raise InvalidInput(f"give 1 to {COMPARE_LIMIT} different ids, separated by commas.", field="ids")
    samples = rows.get_all(reader.session, AudioSample, audio_ids, place=_visible_to(reader))
    gains = playback_gain_db([Loudness(s.loudness_lufs, s.true_peak_dbtp) for s in samples])
    return Comparison(
        items=[
            ComparedSample(
                sample=describe(sample), peaks_url=f"/audio/{sample.id}/peaks", playback_gain_db=gain
            )
            for sample, gain in zip(samples, gains, strict=True)
        ]
    )


def describe(sample: AudioSample) -> AudioSampleOut:
    """The wire form."""
    provenance = Provenance.model_validate(sample.provenance)
    return AudioSampleOut(
        id=sample.id,
        prompt_id=sample.prompt_id,
        adapter_id=sample.adapter_id,
        storage_path=sample.storage_path,
        stream_url=f"/audio/{sample.id}/stream",
        duration_seconds=sample.duration_seconds,
        sample_rate=sample.sample_rate,
        channels=sample.channels,
        size_bytes=sample.size_bytes,
        sha256=sample.sha256,
        codes_sha256=sample.codes_sha256,
        loudness_lufs=sample.loudness_lufs,
        true_peak_dbtp=sample.true_peak_dbtp,
        sentence=sample.sentence,
        model=sample.model,
        is_untrained_noise=not provenance.is_trained,
        generation_params=TakeParams.model_validate(sample.generation_params),
        provenance=provenance,
        created_at=sample.created_at,
        user_id=sample.user_id,
    )


def _visible_to(reader: Reader) -> rows.Place:
    return visible(_PLACE, AudioSample, reader.actor)
