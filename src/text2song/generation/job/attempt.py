"""One worker's attempt at one job: the takes that it still lacks, and how far they are."""

import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from text2song.audio import service as audio
from text2song.errors import StudioError
from text2song.generation.tables import GenerationJob, GenerationTake
from text2song.jobs.columns import JobStatus
from text2song.jobs.lifecycle import Claim
from text2song.music.spec import GenerationSpec
from text2song.studio import Reader


@dataclass(frozen=True, slots=True)
class Row:
    """One take to be made."""

    claim: Claim
    take_id: uuid.UUID
    spec: GenerationSpec
    origin: audio.Origin


class Attempt:
    """What the worker's thread knows of a job in hand."""

    def __init__(
        self, claim: Claim, rows: Sequence[Row], *, frames_total: int, frames_for: Callable[[float], int]
    ) -> None:
        self.claim = claim
        self.passing_error: StudioError | None = None
        """An error that may pass: the takes that it hit, and those not begun, wait for the next attempt."""
        self.is_settling = False
        """Whether its end is being written."""
        self._waiting = deque(rows)
        self._unended = 0
        self._frames_for = frames_for
        self._frames_total = frames_total
        self._frames_drawn = frames_total - sum(self._frames_of(row) for row in rows)
        self._frames_by_row: dict[uuid.UUID, int] = {}

    @property
    def has_waiting(self) -> bool:
        """Whether there are rows to begin."""
        return bool(self._waiting) and self.passing_error is None

    @property
    def is_idle(self) -> bool:
        """Whether nothing of it is in the making, or about to be saved."""
        return not self._unended

    @property
    def is_over(self) -> bool:
        """Whether every row had its turn, as far as this attempt goes."""
        return self.is_idle and not self.has_waiting

    @property
    def progress(self) -> float:
        """A fraction of all frames, also of takes that had their end before; it only grows."""
        return self._frames_drawn / max(1, self._frames_total)

    def begin(self) -> Row:
        """It is the turn of the next row."""
        self._unended += 1
        return self._waiting.popleft()

    def put_off(self, rows: int) -> None:
        """So many that had begun did not come to enter, and wait for another attempt."""
        self._unended -= rows

    def draw(self, row: Row, *, frames: int) -> None:
        """So many frames of the row are drawn. One that must begin anew is told again once it is further."""
        before = self._frames_by_row.get(row.take_id, 0)
        if frames > before:
            self._frames_by_row[row.take_id] = frames
            self._frames_drawn += frames - before

    def complete(self, row: Row) -> None:
        """The row has its end, whichever."""
        self.draw(row, frames=self._frames_of(row))

    def end(self, error: StudioError | None) -> None:
        """A row's end is written, or put off by an error that may pass."""
        self._unended -= 1
        if error is not None and error.is_retryable:
            self.passing_error = error

    def _frames_of(self, row: Row) -> int:
        return self._frames_for(row.spec.duration_seconds)


def rows_of(
    reader: Reader,
    job: GenerationJob,
    claim: Claim,
    origin: Callable[[GenerationTake, GenerationSpec], audio.Origin],
) -> list[Row]:
    """The takes that have no end yet.

    Raises:
        InvalidInput: what is stored of one cannot be read.
    """
    query = select(GenerationTake).where(
        GenerationTake.job_id == job.id, GenerationTake.status == JobStatus.QUEUED
    )
    rows = []
    for take in reader.session.scalars(query.order_by(GenerationTake.take)):
        spec = GenerationSpec.from_json(take.spec)
        rows.append(Row(claim, take.id, spec, origin(take, spec)))
    return rows
