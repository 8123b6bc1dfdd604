"""A job that is worked on row by row: each that begins serves its user, each that ends is needed no more."""

import datetime as dt

import pytest
from sqlalchemy import update

from tests.jobs.test_lifecycle import Job
from text2song.errors import ClaimLost
from text2song.generation.tables import GenerationJob
from text2song.jobs import lifecycle
from text2song.jobs.lifecycle import Claim
from text2song.studio import Studio

TABLE = GenerationJob


def test_rows_are_begun_and_ended_one_by_one_and_the_user_is_served_with_each(studio: Studio) -> None:
    with studio.work() as work:
        job = Job(work.session)
        work.session.execute(update(TABLE).values(rows=3))
        job.claim()
        first = job.row
        job.wait(5)
        assert job.begin()
        second = job.row
        lifecycle.end_row(work.session, TABLE, job.token)
        third = job.row
        job.hand_back()
        waits = job.row
        job.claim()
        again = job.row
    assert [(row["rows"], row["rows_begun"]) for row in (first, second, third, waits, again)] == [
        (3, 1),
        (3, 2),
        (2, 1),
        (2, 0),
        (2, 1),
    ]
    assert second["claimed_at"] == first["claimed_at"] + dt.timedelta(seconds=5)
    assert waits["claimed_at"] == second["claimed_at"]  # its user was served
    assert (waits["attempts"], again["attempts"]) == (0, 1)


def test_whoever_lost_a_claim_ends_no_row_of_it(studio: Studio) -> None:
    with studio.work() as work:
        job = Job(work.session)
        job.claim()
        job.cancel()
        before = job.row
        lifecycle.end_row(work.session, TABLE, job.token)
        assert job.row == before


def test_a_claim_that_is_lost_has_no_turn_also_where_the_same_worker_has_the_job_again(
    studio: Studio,
) -> None:
    with studio.work() as work:
        job = Job(work.session)
        work.session.execute(update(TABLE).values(rows=3))

        def turn(*held: Claim) -> Claim | None:
            return lifecycle.take_turn(work.session, TABLE, held, worker="w", now=job.now, lease_seconds=15)

        job.claim()
        lost = job.token
        job.wait(16)
        job.sweep()
        job.claim()
        assert turn(lost) is None
        assert turn(lost, job.token) == job.token
        assert turn(job.token, lost) == job.token
        assert job.row["rows_begun"] == 3


def test_a_claim_that_is_lost_between_the_look_and_the_write_is_told(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    with studio.work() as work:
        job = Job(work.session)
        job.claim()
        monkeypatch.setattr(lifecycle, "begin_row", lambda *_, **__: False)
        with pytest.raises(ClaimLost):
            lifecycle.take_turn(work.session, TABLE, [job.token], worker="w", now=job.now, lease_seconds=15)
