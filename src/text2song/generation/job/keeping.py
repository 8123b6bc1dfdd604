"""What becomes of takes and jobs in database and storage: bytes first, then the row, fenced by the claim."""

from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import Any

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from text2song.audio import service as audio
from text2song.audio.recording import Recording, record
from text2song.errors import (
    ClaimLost,
    NotFound,
    StorageFailed,
    StorageFull,
    StudioError,
    TakesFailed,
    Unavailable,
    UnexpectedFailure,
)
from text2song.generation.job.attempt import Attempt, Row, rows_of
from text2song.generation.tables import GenerationJob, GenerationTake
from text2song.jobs import lifecycle
from text2song.jobs.columns import JobStatus
from text2song.jobs.lifecycle import Claim
from text2song.jobs.outage import Outage
from text2song.jobs.patience import patiently
from text2song.jobs.shift import Shift
from text2song.model.protocol import GeneratedTake, ModelInfo
from text2song.models import queries as models
from text2song.music.spec import GenerationSpec
from text2song.prompts import queries as prompts
from text2song.studio import Reader, Studio, Work

log = structlog.get_logger(__name__)


class Keeper:
    """Reads what is to be made and keeps what was. Holds no transaction longer than a write takes."""

    def __init__(self, studio: Studio, info: ModelInfo) -> None:
        self._studio = studio
        self._info = info
        self._provenance = _provenance(info)
        self._storage = Outage("who keeps takes", server="the storage")

    @property
    def is_storage_away(self) -> bool:
        """Whether the last take could not be kept."""
        return self._storage.is_on

    def is_storage_back(self) -> bool:
        """Whether takes can be kept; asks the storage, but only after one could not be."""
        if not self._storage.is_on:
            return True
        try:
            self._studio.blobs.require_writable()
        except StudioError:
            return False
        self._storage.end()
        return True

    def has_room_elsewhere(self, shift: Shift) -> bool:
        """Whether other workers that serve this model have rows free; False where nobody can tell."""
        try:
            with self._studio.read() as reader:
                others = models.capacity_beside(reader, shift.worker, model=self._info.id)
                return others > 0 and others > _rows_begun_beside(reader, shift.worker, model=self._info.id)
        except Unavailable:
            return False

    def load(self, claim: Claim, shift: Shift) -> Attempt | None:
        """What is to be made of a job; None where it is gone, or cannot be read and so has failed.

        Raises:
            Unavailable: the database is out of reach, for longer than a restart takes.
        """
        is_over = partial(shift.is_lost, claim)
        try:
            return patiently(partial(self._read, claim), is_over=is_over)
        except Unavailable:
            raise
        except StudioError as error:  # a row that cannot be read fails its own job, and no other
            patiently(partial(self._fail, claim, error), is_over=is_over)
            return None

    def save(self, row: Row, outcome: GeneratedTake | StudioError, shift: Shift) -> StudioError | None:
        """Store a finished take, or why there is none; answers the error, if any.

        An error that may pass is not stored: the take waits for another attempt. A claim that turns out to be
        lost is told to the shift, and nothing was written.
        """
        if shift.is_lost(row.claim):
            return None
        try:
            if isinstance(outcome, StudioError):
                return self._mark(row, outcome, shift)
            return self._store(row, outcome, shift)
        except ClaimLost:  # cancelled in this very moment, or another's
            shift.lose(row.claim)
            return None

    def settle(self, claim: Claim, passing_error: StudioError | None, shift: Shift) -> None:
        """Every take has had its turn: end the job, or let it wait for another attempt."""

        def end() -> None:
            with self._studio.work() as work:
                error = passing_error or _verdict(work.session, claim)
                now = work.clock()
                if error is None:
                    lifecycle.finish(work.session, GenerationJob, claim, now=now)
                else:
                    lifecycle.fail(work.session, GenerationJob, claim, error=error, now=now)

        try:
            patiently(end, is_over=partial(shift.is_lost, claim))
        except ClaimLost:
            log.info("job ended elsewhere", job_id=str(claim.job_id))

    def _read(self, claim: Claim) -> Attempt | None:
        with self._studio.read() as reader:
            job = reader.session.get(GenerationJob, claim.job_id)
            if job is None:  # its prompt was deleted in this very moment
                return None
            rows = rows_of(reader, job, claim, partial(self._origin, job))
            return Attempt(claim, rows, frames_total=job.frames_total, frames_for=self._info.frames_for)

    def _origin(self, job: GenerationJob, take: GenerationTake, spec: GenerationSpec) -> audio.Origin:
        return audio.Origin(
            prompt_id=job.prompt_id,
            adapter_id=take.adapter_id,
            user_id=job.user_id,
            model=self._info.id,
            spec=spec,
            provenance=self._provenance,
        )

    def _fail(self, claim: Claim, error: StudioError) -> None:
        try:
            with self._studio.work() as work:
                lifecycle.fail(work.session, GenerationJob, claim, error=error, now=work.clock())
        except ClaimLost:  # cancelled in this very moment: its neighbours in the batch must not suffer
            log.info("job ended elsewhere", job_id=str(claim.job_id))

    def _store(self, row: Row, take: GeneratedTake, shift: Shift) -> StudioError | None:
        try:
            patiently(partial(self._keep, row, take), is_over=partial(shift.is_lost, row.claim))
        except ClaimLost:
            raise
        except StudioError as error:
            if isinstance(error, StorageFailed | StorageFull):
                self._storage.begin(error)
            return self._mark(row, error, shift)
        self._storage.end()
        return None

    def _mark(self, row: Row, error: StudioError, shift: Shift) -> StudioError:
        if not error.is_retryable:
            patiently(partial(self._mark_failed, row, error), is_over=partial(shift.is_lost, row.claim))
        return error

    def _keep(self, row: Row, take: GeneratedTake) -> None:
        recording = record(
            self._studio.blobs,
            take.waveform,
            take.codes,
            codebook_size=self._info.codebook_size,
            metadata={"sentence": row.spec.sentence, "model": self._info.id},
        )
        try:
            self._write(row, take, recording)
        except ClaimLost:
            with self._studio.work() as work:
                audio.discard(work, recording)
            raise

    def _write(self, row: Row, take: GeneratedTake, recording: Recording) -> None:
        origin = replace(row.origin, provenance={**row.origin.provenance, "token_ids": list(take.token_ids)})
        with self._studio.work() as work:
            _hold(work, row)
            stored = work.session.get_one(GenerationTake, row.take_id)
            if stored.status != JobStatus.QUEUED:  # committed before, though the answer to that was lost
                return
            sample = audio.keep(work, recording, origin)
            stored.status = JobStatus.SUCCEEDED
            stored.audio_id = sample.id
            stored.finished_at = work.clock()
            lifecycle.end_row(work.session, GenerationJob, row.claim)

    def _mark_failed(self, row: Row, error: StudioError) -> None:
        with self._studio.work() as work:
            lifecycle.hold(work.session, GenerationJob, row.claim)
            stored = work.session.get_one(GenerationTake, row.take_id)
            if stored.status != JobStatus.QUEUED:  # as above
                return
            stored.status = JobStatus.FAILED
            stored.error_code, stored.error_message = error.code, error.message
            stored.finished_at = work.clock()
            lifecycle.end_row(work.session, GenerationJob, row.claim)


def _hold(work: Work, row: Row) -> None:
    """Fence the unit: the prompt first, then its job.

    Whoever shares the prompt takes them in this order too; else each could have what the other waits for.

    Raises:
        ClaimLost: when the job is no longer this worker's, or went with its prompt.
    """
    try:
        prompts.hold_visibility(work, row.origin.prompt_id)
    except NotFound as error:
        raise ClaimLost("the job was deleted with its prompt.") from error
    lifecycle.hold(work.session, GenerationJob, row.claim)


def _rows_begun_beside(reader: Reader, worker: str, *, model: str) -> int:
    """Takes that others have in the making."""
    begun = select(func.coalesce(func.sum(GenerationJob.rows_begun), 0)).where(
        GenerationJob.status == JobStatus.RUNNING,
        GenerationJob.model == model,
        GenerationJob.claimed_by != worker,
    )
    return int(reader.session.scalar(begun) or 0)


def _verdict(session: Session, claim: Claim) -> StudioError | None:
    """Why the job failed, read from its takes; None when every single one was made."""
    rows = session.execute(
        select(GenerationTake.status, GenerationTake.error_message).where(
            GenerationTake.job_id == claim.job_id
        )
    ).all()
    messages = [row.error_message for row in rows if row.status == JobStatus.FAILED]
    if messages:
        return TakesFailed(f"{len(messages)} of {len(rows)} takes failed: {messages[0]}")
    if any(row.status != JobStatus.SUCCEEDED for row in rows):
        return UnexpectedFailure("some takes have no end yet. The job is tried again by itself.")
    return None


def _provenance(info: ModelInfo) -> dict[str, Any]:
    return {
        "model": info.id,
        "revision": info.revision,
        "fingerprint": info.fingerprint,
        "license": info.license,
        "is_trained": info.is_trained,
        "dtype": info.dtype,
        "device": info.device,
        "versions": {name: version(name) for name in ("text2song", "torch", "tokenizers")},
    }
