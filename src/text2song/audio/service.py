"""Keeping and deleting audio samples."""

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import delete as delete_rows
from sqlalchemy.exc import IntegrityError

from text2song.audio import queries
from text2song.audio.recording import Recording
from text2song.audio.tables import AudioSample, DoomedBlob
from text2song.db import rows
from text2song.errors import InUse, StorageFailed
from text2song.music.spec import GenerationSpec
from text2song.prompts import queries as prompts
from text2song.studio import Work
from text2song.users.audit import note_if_anothers
from text2song.users.ownership import require_own

GRACE: Final = dt.timedelta(hours=1)
"""Longer than any worker needs between storing bytes and writing the row for them."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose sample it is and how it came to be."""

    prompt_id: uuid.UUID
    adapter_id: uuid.UUID | None
    user_id: uuid.UUID | None
    model: str
    spec: GenerationSpec
    provenance: Mapping[str, Any]


def keep(work: Work, recording: Recording, origin: Origin) -> AudioSample:
    """Write the row of bytes that are stored already.

    Nobody dooms these bytes any more, and only then is asked whether they are there: the order is what
    keeps the reaper from deleting them under the new row (see `cleaning`).

    Raises:
        StorageFailed: when they went away meanwhile (equal bytes of a deleted sample were reaped);
            storing them again helps.
    """
    keys = _keys_of(recording)
    work.session.execute(delete_rows(DoomedBlob).where(DoomedBlob.key.in_(keys)))
    sample = AudioSample(
        prompt_id=origin.prompt_id,
        adapter_id=origin.adapter_id,
        user_id=origin.user_id,
        visibility=prompts.hold_visibility(work, origin.prompt_id),
        storage_path=recording.audio.key,
        sha256=recording.audio.sha256,
        size_bytes=recording.audio.size_bytes,
        duration_seconds=recording.duration_seconds,
        sample_rate=recording.sample_rate,
        channels=recording.channels,
        loudness_lufs=recording.loudness.loudness_lufs,
        true_peak_dbtp=recording.loudness.true_peak_dbtp,
        peaks_path=recording.peaks.key,
        codes_path=recording.codes.key,
        codes_sha256=recording.codes_sha256,
        sentence=origin.spec.sentence,
        model=origin.model,
        generation_params=origin.spec.as_json(),
        provenance=dict(origin.provenance),
        created_at=work.clock(),
    )
    work.session.add(sample)
    work.session.flush()
    if not all(work.blobs.exists(key) for key in keys):
        raise StorageFailed("the bytes of this take were removed before its row was written.")
    return sample


def delete(work: Work, audio_id: uuid.UUID) -> None:
    """Delete a sample; its bytes go an hour later, unless another sample has the same.

    Raises:
        NotFound: when there is none.
        Forbidden: it is somebody else's.
        InUse: while something immutable needs it.
    """
    sample = queries.get(work, audio_id)
    require_own(sample, work.actor)
    note_if_anothers(work, sample, act="audio.delete")
    drop(work, sample)


def drop(work: Work, sample: AudioSample) -> None:
    """Delete a sample for nobody in particular.

    Raises:
        InUse: while something immutable needs it.
    """
    rows.lock(work.session, sample)
    keys = (sample.storage_path, sample.peaks_path, sample.codes_path)
    work.session.delete(sample)
    try:
        work.session.flush()
    except IntegrityError as error:
        raise InUse("something immutable was built on this sample, so it stays.") from error
    doom(work, keys)


def discard(work: Work, recording: Recording) -> None:
    """Bytes that were stored for nothing go an hour later, unless a sample has the same by then."""
    doom(work, _keys_of(recording))


def doom(work: Work, keys: Iterable[str]) -> None:
    """Have `cleaning.reap` look at these keys in an hour."""
    due_at = work.clock() + GRACE
    work.session.add_all(DoomedBlob(key=key, due_at=due_at) for key in keys)


def _keys_of(recording: Recording) -> list[str]:
    return [stored.key for stored in (recording.audio, recording.peaks, recording.codes)]
