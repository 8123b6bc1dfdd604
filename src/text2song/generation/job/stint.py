"""A worker at its model: rows enter where there is room, all are brought on by frames, and each is saved.

No transaction is open while the model works. The thread that works it writes only whose turn it is, and reads
what a job is to be; what is finished is handed to the saver, so that no frame of the others waits for it.
"""

import time
from collections.abc import Collection, Mapping
from typing import Final

import structlog

from text2song.errors import StudioError, UnexpectedFailure
from text2song.generation.job.attempt import Attempt, Row
from text2song.generation.job.keeping import Keeper
from text2song.generation.job.line import Line
from text2song.generation.job.saver import Saver
from text2song.generation.job.speed import Speed
from text2song.jobs.lifecycle import Claim, Report
from text2song.jobs.shift import Shift
from text2song.model.protocol import GeneratedTake, MusicModel, RowProgress, Stage
from text2song.music.attributes import DURATION_RANGE_SECONDS
from text2song.music.spec import GenerationSpec

log = structlog.get_logger(__name__)

SMALLEST: Final = GenerationSpec(".", seed=0, duration_seconds=DURATION_RANGE_SECONDS[0])
"""Where not even this has room, nothing has, and no job is taken from those who might have."""


class Stint:
    """The jobs of one shift in one batch. `work` returns when nothing is in hand that may go on."""

    def __init__(
        self, model: MusicModel, keeper: Keeper, speed: Speed, *, shift: Shift, saver: Saver
    ) -> None:
        self._model = model
        self._keeper = keeper
        self._speed = speed
        self._shift = shift
        self._saver = saver
        self._batch = model.open_batch()
        self._attempts: dict[Claim, Attempt] = {}
        self._rows: dict[int, Row] = {}
        """Those in the batch, by its numbers."""
        self._line = Line()
        self._composing = 0
        """Rows that are not rendered yet: what they take is free once they are."""
        self._look_at = 0.0
        """When it is worth while to look for room and work again, by the monotonic clock."""

    def work(self, first: Claim) -> None:
        """Make the takes of `first`, and of whatever comes while there is room."""
        try:
            self._draw_from(first)
            while not self._shift.is_stopping():
                self._drop_lost()
                self._fill()
                if self._rows:
                    self._advance()
                    self._saver.collect()
                elif self._saver.backlog or (self._attempts and self._may_begin):
                    self._speed.rest()
                    self._saver.collect(wait_seconds=self._shift.beat_seconds)
                else:
                    break
            for number in self._rows:
                self._batch.leave(number)
        finally:
            self._speed.rest()
            self._saver.finish()  # what is finished is saved, whatever happened to the others

    @property
    def _may_begin(self) -> bool:
        """Whether rows may enter: what would be made could be kept, and nobody waits for us to end."""
        return not (self._shift.is_closing() or self._keeper.is_storage_away)

    @property
    def _has_room(self) -> bool:
        """Whether any row might enter; none while as many as a batch holds wait to be saved."""
        return self._saver.backlog < self._model.capacity and self._batch.has_room_for(SMALLEST)

    def _fill(self) -> None:
        """Have rows enter, in the order of their turns, until there is no room or nothing waits.

        Only when something has changed, and otherwise once a beat: it asks the database.
        """
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + self._shift.beat_seconds
        while self._may_begin and self._has_room:
            row = self._line.take(self._batch.has_room_for)
            if row is not None:
                self._enter(row)
            elif not self._line.is_open or not self._draw():
                return

    def _draw(self) -> bool:
        """Have whose turn it is stand in line; False where it is nobody's."""
        held = [each.claim for each in self._attempts.values() if each.has_waiting]
        # A job that is taken up here waits for rows of ours alone: where others have some free, it is theirs.
        is_open = not (held and self._keeper.has_room_elsewhere(self._shift))
        turn = self._shift.next_turn(held, is_open=is_open)
        if turn is not None:
            self._draw_from(turn)
        return turn is not None

    def _draw_from(self, claim: Claim) -> None:
        """The next row of this job stands in line; one that is new here is read first."""
        if claim not in self._attempts:
            attempt = self._keeper.load(claim, self._shift)
            if attempt is None:
                self._shift.drop(claim)
                return
            self._attempts[claim] = attempt
            self._settle_if_over(attempt)  # all made by an attempt that was lost at the very end
        attempt = self._attempts[claim]
        if attempt.has_waiting:
            self._line.add(attempt.begin())

    def _enter(self, row: Row) -> None:
        self._rows[self._batch.enter(row.spec)] = row
        self._speed.begin()
        self._tell(self._attempts[row.claim], Stage.COMPOSING)

    def _advance(self) -> None:
        """One frame, or one piece of sound, of every row."""
        ended: list[tuple[Row, GeneratedTake | StudioError]] = [
            (self._rows.pop(result.row), result.outcome) for result in self._batch.advance()
        ]
        there = self._batch.rows
        for number in self._rows.keys() - there.keys():
            error = UnexpectedFailure(
                "the model gave no result for a take. The job is tried again by itself."
            )
            ended.append((self._rows.pop(number), error))
            log.error("no result", row=number, error=error.message)
        for row, _ in ended:
            self._attempts[row.claim].complete(row)
        self._report(there, ended={row.claim for row, _ in ended})
        for row, outcome in ended:
            self._end(row, outcome)

    def _end(self, row: Row, outcome: GeneratedTake | StudioError) -> None:
        """A row has its end, and its place is free."""
        attempt = self._attempts[row.claim]
        self._look_at = 0.0
        has_take = isinstance(outcome, GeneratedTake)
        self._speed.end(row.spec.duration_seconds if has_take else 0.0)
        if isinstance(outcome, StudioError) and outcome.is_retryable:
            self._saved(attempt, outcome)  # nothing is written of it, and nothing more of its job is to begin
        else:
            self._saver.put(
                lambda: self._keeper.save(row, outcome, self._shift),
                lambda error: self._saved(attempt, error),
            )

    def _saved(self, attempt: Attempt, error: StudioError | None) -> None:
        self._look_at = 0.0
        attempt.end(error)
        if attempt.passing_error is not None:
            attempt.put_off(self._line.drop(attempt.claim))
        self._settle_if_over(attempt)

    def _settle_if_over(self, attempt: Attempt) -> None:
        if not attempt.is_over or attempt.is_settling:
            return
        attempt.is_settling = True
        claim, error = attempt.claim, attempt.passing_error
        self._saver.put(
            lambda: self._keeper.settle(claim, error, self._shift), lambda _: self._forget(attempt)
        )

    def _forget(self, attempt: Attempt) -> None:
        self._attempts.pop(attempt.claim, None)
        self._shift.drop(attempt.claim)

    def _drop_lost(self) -> None:
        """Jobs that are no longer ours leave, between two frames of the others."""
        for attempt in [each for each in self._attempts.values() if self._shift.is_lost(each.claim)]:
            numbers = [number for number, row in self._rows.items() if row.claim == attempt.claim]
            for number in numbers:
                self._batch.leave(number)
                del self._rows[number]
                self._look_at = 0.0
            attempt.put_off(len(numbers) + self._line.drop(attempt.claim))
            if attempt.is_idle and not attempt.is_settling:  # nothing of it is with the saver
                self._forget(attempt)

    def _report(self, there: Mapping[int, RowProgress], *, ended: Collection[Claim]) -> None:
        """How far each job is whose rows moved; it renders once none of them is still to be composed."""
        is_composing, composing = dict.fromkeys(ended, False), 0
        for number, row in self._rows.items():
            now = there[number]
            self._attempts[row.claim].draw(row, frames=now.frames)
            composes = now.stage != Stage.RENDERING
            composing += composes
            is_composing[row.claim] = is_composing.get(row.claim, False) or composes
        if composing < self._composing:
            self._look_at = 0.0
        self._composing = composing
        for claim, composes in is_composing.items():
            attempt = self._attempts[claim]
            self._tell(attempt, Stage.COMPOSING if composes or attempt.has_waiting else Stage.RENDERING)

    def _tell(self, attempt: Attempt, stage: Stage) -> None:
        self._shift.report(attempt.claim, Report(attempt.progress, stage.value))
