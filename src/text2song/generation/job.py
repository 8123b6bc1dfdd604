"""What a worker does with claimed generation jobs: draw, render, measure, store, write the row.

No transaction is open while the model works. Each take is saved when it is finished, under the
fence of its job's claim: bytes first, then the row.
"""

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from typing import Any

import structlog
from sqlalchemy import ColumnElement, false, select
from sqlalchemy.orm import Session

from text2song.audio import service as audio
from text2song.audio.recording import record
from text2song.errors import (
    ClaimLost,
    NotFound,
    OutOfMemory,
    StorageFailed,
    StorageFull,
    StudioError,
    TakesFailed,
    UnexpectedFailure,
)
from text2song.generation.tables import GenerationJob, GenerationTake
from text2song.jobs import lifecycle
from text2song.jobs.columns import JobStatus
from text2song.jobs.leases import Leases
from text2song.jobs.lifecycle import Claim, Report
from text2song.jobs.outage import Outage
from text2song.jobs.patience import patiently
from text2song.model.protocol import GeneratedTake, MusicModel, Progress
from text2song.music.spec import GenerationSpec
from text2song.prompts import queries as prompts
from text2song.studio import Reader, Studio, Work

log = structlog.get_logger(__name__)

SPEED_MEMORY = 0.7
"""Share of the earlier estimate that each new measurement leaves standing."""
CLEAN_BATCHES = 8
"""Full batches that must fit after the memory was too small, before twice as many takes are tried."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One take to be made."""

    claim: Claim
    take_id: uuid.UUID
    spec: GenerationSpec
    origin: audio.Origin


@dataclass(slots=True)
class _Tally:
    """How far one job is, in frames and takes."""

    frames_total: int
    frames_done: int
    """Of takes that had their end before this attempt."""
    rows_left: int
    passing_error: StudioError | None = None
    """An error that may pass: the takes it hit wait for the next attempt."""
    frames_by_row: dict[uuid.UUID, int] = field(default_factory=dict)
    """Of this attempt's takes, running or ended."""

    @property
    def progress(self) -> float:
        return (self.frames_done + sum(self.frames_by_row.values())) / max(1, self.frames_total)


class GenerationHandler:
    """Makes the takes of generation jobs with one model."""

    table = GenerationJob

    def __init__(self, studio: Studio, model: MusicModel) -> None:
        self._studio = studio
        self.model = model
        """What this worker serves."""
        self._rows_that_fit = model.capacity
        self._clean_batches = 0
        """Full ones, since the number of rows was last changed."""
        self._storage = Outage("who keeps takes", server="the storage")
        self._provenance = _provenance(model)
        self.speed: float | None = None
        """Seconds of audio made in a second of work; None before the first take."""

    @property
    def capacity(self) -> int:
        """Takes that are made at the same time; fewer for a while once the memory was too small for more."""
        return self._rows_that_fit

    def accepts(self) -> ColumnElement[bool]:
        """Jobs for this model, and for these weights where a job asks for certain ones.

        None while takes could not be kept: they would cost hours of a GPU, and each job its attempts.
        """
        if self._is_storage_away():
            return false()
        info = self.model.info
        any_weights = GenerationJob.fingerprint.is_(None)
        return (GenerationJob.model == info.id) & (
            any_weights | (GenerationJob.fingerprint == info.fingerprint)
        )

    def run(self, claims: Sequence[Claim], leases: Leases, *, is_stopping: Callable[[], bool]) -> None:
        """Make a batch of what the claimed jobs still lack; each job ends with its last take."""
        rows, tallies = self._load(claims)
        for claim, tally in tallies.items():
            if not tally.rows_left:  # all made by an attempt that was lost at the very end
                self._settle(claim, tally, leases)
        batch = rows[: self.capacity]
        if not batch:
            return
        try:
            answered = self._make(batch, tallies, leases, is_stopping=is_stopping)
        except OutOfMemory as error:
            if len(batch) == 1:  # one take alone is too large: its job's trouble, and no other's
                tallies[batch[0].claim].passing_error = error
            else:
                self._rows_that_fit = len(batch) // 2
            self._clean_batches = 0
            log.warning("out of memory", rows=len(batch), next_rows=self._rows_that_fit)
        else:
            self._learn_capacity(len(batch))
            missing = [row for row in batch if row.take_id not in answered and not leases.is_lost(row.claim)]
            if missing and not is_stopping():
                raise RuntimeError(f"the model gave no result for {len(missing)} of {len(batch)} takes")
        if not is_stopping():
            self._hand_back(tallies, leases)

    def _is_storage_away(self) -> bool:
        """Asks the storage, but only after a take could not be kept."""
        if not self._storage.is_on:
            return False
        try:
            self._studio.blobs.require_writable()
        except StudioError:
            return True
        self._storage.end()
        return False

    def _load(self, claims: Sequence[Claim]) -> tuple[list[_Row], dict[Claim, _Tally]]:
        rows: list[_Row] = []
        tallies: dict[Claim, _Tally] = {}
        frames_for = self.model.info.frames_for
        broken: dict[Claim, StudioError] = {}
        with self._studio.read() as reader:
            for claim in claims:
                job = reader.session.get(GenerationJob, claim.job_id)
                if job is None:  # its prompt was deleted in this very moment
                    continue
                try:
                    found = self._rows_of(reader, job, claim)
                except StudioError as error:  # a row that cannot be read fails its own job, and no other
                    broken[claim] = error
                    continue
                left = sum(frames_for(row.spec.duration_seconds) for row in found)
                tallies[claim] = _Tally(job.frames_total, job.frames_total - left, rows_left=len(found))
                rows += found
        for claim, reason in broken.items():
            self._fail(claim, reason)
        return rows, tallies

    def _fail(self, claim: Claim, error: StudioError) -> None:
        try:
            with self._studio.work() as work:
                lifecycle.fail(work.session, GenerationJob, claim, error=error, now=work.clock())
        except ClaimLost:  # cancelled in this very moment: its neighbours in the batch must not suffer
            log.info("job ended elsewhere", job_id=str(claim.job_id))

    def _rows_of(self, reader: Reader, job: GenerationJob, claim: Claim) -> list[_Row]:
        query = select(GenerationTake).where(
            GenerationTake.job_id == job.id, GenerationTake.status == JobStatus.QUEUED
        )
        rows = []
        for take in reader.session.scalars(query.order_by(GenerationTake.take)):
            spec = GenerationSpec.from_json(take.spec)
            rows.append(_Row(claim, take.id, spec, self._origin(job, take, spec)))
        return rows

    def _origin(self, job: GenerationJob, take: GenerationTake, spec: GenerationSpec) -> audio.Origin:
        return audio.Origin(
            prompt_id=job.prompt_id,
            adapter_id=take.adapter_id,
            user_id=job.user_id,
            model=self.model.info.id,
            spec=spec,
            provenance=self._provenance,
        )

    def _make(
        self,
        batch: Sequence[_Row],
        tallies: dict[Claim, _Tally],
        leases: Leases,
        *,
        is_stopping: Callable[[], bool],
    ) -> set[uuid.UUID]:
        """Have the model make the takes; answers the ids of those that had an end."""

        def watch(progress: Progress) -> list[int]:
            self._report(batch, tallies, leases, progress)
            return [n for n, row in enumerate(batch) if is_stopping() or leases.is_lost(row.claim)]

        began = time.monotonic()
        made_seconds = 0.0
        answered: set[uuid.UUID] = set()
        for result in self.model.generate([row.spec for row in batch], watch=watch):
            row, tally = batch[result.row], tallies[batch[result.row].claim]
            if leases.is_lost(row.claim):
                continue
            try:
                error = self._save(row, result.outcome, leases)
            except ClaimLost:  # cancelled in this very moment, or another's: nothing was written
                leases.lose(row.claim)
                continue
            if error is not None and error.is_retryable:
                tally.passing_error = error
            answered.add(row.take_id)
            made_seconds += 0.0 if error else row.spec.duration_seconds
            tally.frames_by_row[row.take_id] = self.model.info.frames_for(row.spec.duration_seconds)
            tally.rows_left -= 1
            if not tally.rows_left:
                self._settle(row.claim, tally, leases)
        if made_seconds:
            self._learn_speed(made_seconds / (time.monotonic() - began))
        return answered

    def _hand_back(self, tallies: dict[Claim, _Tally], leases: Leases) -> None:
        """Jobs that did not fit into this batch wait for the next, and let others have their turn."""
        for claim, tally in tallies.items():
            if not tally.rows_left or leases.is_lost(claim):
                continue
            if tally.passing_error is not None:  # the next batch would meet it too: wait, and count
                self._settle(claim, tally, leases)
                continue
            patiently(
                partial(self._put_back, claim, rows=tally.rows_left), is_over=partial(leases.is_lost, claim)
            )
            leases.drop(claim)

    def _put_back(self, claim: Claim, *, rows: int) -> None:
        with self._studio.work() as work:
            lifecycle.hand_back(work.session, GenerationJob, claim, rows=rows)

    def _report(
        self,
        batch: Sequence[_Row],
        tallies: dict[Claim, _Tally],
        leases: Leases,
        progress: Progress,
    ) -> None:
        for row, frames in zip(batch, progress.frames, strict=True):
            tally = tallies[row.claim]
            # a row that failed early has its end, and stands still in the model's own count
            tally.frames_by_row[row.take_id] = max(frames, tally.frames_by_row.get(row.take_id, 0))
        for claim in {row.claim for row in batch}:
            leases.report(claim, Report(tallies[claim].progress, progress.stage))

    def _save(self, row: _Row, outcome: GeneratedTake | StudioError, leases: Leases) -> StudioError | None:
        """Store a finished take, or why there is none unless that may pass; answers the error, if any.

        Raises:
            ClaimLost: when the job is no longer this worker's.
        """
        is_over = partial(leases.is_lost, row.claim)
        error = outcome if isinstance(outcome, StudioError) else None
        if isinstance(outcome, GeneratedTake):
            try:
                patiently(partial(self._keep, row, outcome), is_over=is_over)
            except ClaimLost:
                raise
            except StudioError as fault:
                error = fault
                if isinstance(fault, StorageFailed | StorageFull):
                    self._storage.begin(fault)
        if error is not None and not error.is_retryable:
            patiently(partial(self._mark_failed, row, error), is_over=is_over)
        return error

    def _keep(self, row: _Row, take: GeneratedTake) -> None:
        recording = record(
            self._studio.blobs,
            take.waveform,
            take.codes,
            codebook_size=self.model.info.codebook_size,
            metadata={"sentence": row.spec.sentence, "model": self.model.info.id},
        )
        origin = replace(row.origin, provenance={**row.origin.provenance, "token_ids": list(take.token_ids)})
        try:
            with self._studio.work() as work:
                _hold(work, row)
                stored = work.session.get_one(GenerationTake, row.take_id)
                if stored.status != JobStatus.QUEUED:  # committed before, though the answer to that was lost
                    return
                sample = audio.keep(work, recording, origin)
                stored.status = JobStatus.SUCCEEDED
                stored.audio_id = sample.id
                stored.finished_at = work.clock()
        except ClaimLost:
            with self._studio.work() as work:
                audio.discard(work, recording)
            raise

    def _mark_failed(self, row: _Row, error: StudioError) -> None:
        with self._studio.work() as work:
            lifecycle.hold(work.session, GenerationJob, row.claim)
            stored = work.session.get_one(GenerationTake, row.take_id)
            stored.status = JobStatus.FAILED
            stored.error_code, stored.error_message = error.code, error.message
            stored.finished_at = work.clock()

    def _settle(self, claim: Claim, tally: _Tally, leases: Leases) -> None:
        """Every take has had its turn: end the job, or let it wait for another attempt."""

        def end() -> None:
            with self._studio.work() as work:
                error = tally.passing_error or _verdict(work.session, claim)
                now = work.clock()
                if error is None:
                    lifecycle.finish(work.session, GenerationJob, claim, now=now)
                else:
                    lifecycle.fail(work.session, GenerationJob, claim, error=error, now=now)

        try:
            patiently(end, is_over=partial(leases.is_lost, claim))
        except ClaimLost:
            log.info("job ended elsewhere", job_id=str(claim.job_id))
        leases.drop(claim)

    def _learn_capacity(self, rows: int) -> None:
        """After enough full batches that fitted, try more rows again: what took the memory may be gone."""
        if rows < self._rows_that_fit:
            return
        self._clean_batches += 1
        if self._clean_batches >= CLEAN_BATCHES:
            self._rows_that_fit = min(2 * self._rows_that_fit, self.model.capacity)
            self._clean_batches = 0

    def _learn_speed(self, measured: float) -> None:
        if self.speed is None:
            self.speed = measured
        else:
            self.speed = SPEED_MEMORY * self.speed + (1 - SPEED_MEMORY) * measured


def _hold(work: Work, row: _Row) -> None:
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


def _provenance(model: MusicModel) -> dict[str, Any]:
    info = model.info
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
