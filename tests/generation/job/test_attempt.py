import uuid

from tests.generation.job.test_line import row
from text2song.errors import ModelOutputRejected, OutOfMemory
from text2song.generation.job.attempt import Attempt
from text2song.jobs.lifecycle import Claim

FRAMES = 50
"""Of a second, and so of each row."""


def attempt_at(rows: int, *, made: int = 0) -> Attempt:
    """A job that still lacks so many takes of a second, beside those that are made."""
    claim = Claim(uuid.uuid4(), uuid.uuid4())
    return Attempt(
        claim,
        [row(1, claim=claim) for _ in range(rows)],
        frames_total=(rows + made) * FRAMES,
        frames_for=lambda seconds: round(seconds * FRAMES),
    )


def test_progress_counts_what_was_made_before_and_never_falls() -> None:
    attempt = attempt_at(2, made=2)
    assert attempt.progress == 0.5
    first, second = attempt.begin(), attempt.begin()
    attempt.draw(first, frames=25)
    assert attempt.progress == 0.625
    attempt.draw(first, frames=0)  # it must begin anew
    attempt.draw(second, frames=10)
    assert attempt.progress == 0.675
    attempt.draw(first, frames=26)
    assert attempt.progress == 0.68
    attempt.complete(second)  # it failed early, and stands still in the model's own count
    attempt.draw(second, frames=10)
    attempt.complete(first)
    assert attempt.progress == 1.0


def test_it_is_over_when_every_row_had_its_turn_and_its_end() -> None:
    attempt = attempt_at(2)
    attempt.begin()
    attempt.end(None)
    assert (attempt.is_idle, attempt.is_over, attempt.has_waiting) == (True, False, True)
    attempt.begin()
    assert (attempt.is_idle, attempt.is_over, attempt.has_waiting) == (False, False, False)
    attempt.end(ModelOutputRejected("silence"))
    assert (attempt.is_over, attempt.passing_error) == (True, None)


def test_an_error_that_may_pass_ends_it_once_what_runs_has_its_end() -> None:
    attempt = attempt_at(4)
    for _ in range(3):
        attempt.begin()
    error = OutOfMemory("no memory")
    attempt.end(error)
    assert (attempt.passing_error, attempt.has_waiting, attempt.is_over) == (error, False, False)
    attempt.put_off(1)
    attempt.end(None)
    assert attempt.is_over


def test_nothing_to_make_is_over_at_once() -> None:
    attempt = attempt_at(0, made=3)
    assert attempt.is_over
    assert attempt.progress == 1.0
