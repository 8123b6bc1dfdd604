"""Clocks that are set back, and machines whose clocks disagree."""

import datetime as dt

import pytest
from sqlalchemy import select

from tests.jobs.workshop import submit
from tests.studios import Clock
from text2song.errors import ClaimLost, DatabaseBusy
from text2song.generation.tables import GenerationJob
from text2song.jobs import lifecycle
from text2song.jobs.lifecycle import BACKOFF_SECONDS, CLOCK_SLACK, Claim, Swept
from text2song.studio import Studio

TABLE = GenerationJob
LEASE_SECONDS = 15.0
SLACK_SECONDS = CLOCK_SLACK.total_seconds()
HOUR_SECONDS = 3600.0


@pytest.fixture(name="held")
def make_held(studio: Studio) -> Claim:
    """The claim on the one job that there is."""
    submit(studio, {})
    return claim(studio)


def claim(studio: Studio, *, ahead_seconds: float = 0.0) -> Claim:
    """By a worker whose clock runs ahead by so much."""
    with studio.work() as work:
        now = work.clock() + dt.timedelta(seconds=ahead_seconds)
        claimed = lifecycle.claim(work.session, TABLE, worker="w", now=now, lease_seconds=LEASE_SECONDS)
    assert claimed is not None
    return claimed


def beat(studio: Studio, held: Claim, *, lease_seconds: float = LEASE_SECONDS) -> bool:
    with studio.work() as work:
        return lifecycle.beat(
            work.session, TABLE, held, now=work.clock(), lease_seconds=lease_seconds, report=None
        )


def sweep(studio: Studio) -> Swept:
    with studio.work() as work:
        return lifecycle.sweep(work.session, TABLE, now=work.clock())


def job(studio: Studio) -> GenerationJob:
    with studio.read() as reader:
        return reader.session.scalars(select(TABLE)).one()


@pytest.mark.usefixtures("held")
def test_a_dead_worker_keeps_its_job_for_no_longer_because_the_clock_was_set_back(
    studio: Studio, clock: Clock
) -> None:
    clock.advance(-HOUR_SECONDS)
    assert sweep(studio) == Swept(requeued=1, given_up=0, is_work_waiting=True)
    assert (job(studio).status, job(studio).lost_leases) == ("queued", 1)


def test_a_living_worker_keeps_its_job_when_the_clock_is_set_back(
    studio: Studio, clock: Clock, held: Claim
) -> None:
    clock.advance(-HOUR_SECONDS)
    assert beat(studio, held)  # sooner than the next sweep, usually
    assert sweep(studio).requeued == 0
    assert job(studio).status == "running"


def test_a_living_worker_whose_job_was_swept_away_can_write_nothing(
    studio: Studio, clock: Clock, held: Claim
) -> None:
    clock.advance(-HOUR_SECONDS)
    sweep(studio)
    assert not beat(studio, held)
    with studio.work() as work, pytest.raises(ClaimLost):
        lifecycle.hold(work.session, TABLE, held)
    assert claim(studio) != held


@pytest.mark.parametrize(("ahead_seconds", "requeued"), [(SLACK_SECONDS, 0), (SLACK_SECONDS + 1, 1)])
def test_a_machine_may_run_ahead_by_the_slack_and_no_more(
    studio: Studio, ahead_seconds: float, requeued: int
) -> None:
    submit(studio, {})
    claim(studio, ahead_seconds=ahead_seconds)
    assert sweep(studio).requeued == requeued


def test_a_worker_with_much_longer_leases_than_others_keeps_its_job(studio: Studio, held: Claim) -> None:
    assert beat(studio, held, lease_seconds=HOUR_SECONDS)
    assert sweep(studio).requeued == 0


@pytest.mark.usefixtures("held")
def test_a_job_is_not_swept_because_the_clock_was_set_back_a_little(studio: Studio, clock: Clock) -> None:
    clock.advance(-SLACK_SECONDS)
    assert sweep(studio).requeued == 0


def test_a_failed_job_waits_no_longer_than_ever_when_the_clock_is_set_back(
    studio: Studio, clock: Clock, held: Claim
) -> None:
    with studio.work() as work:
        lifecycle.fail(work.session, TABLE, held, error=DatabaseBusy("it may pass"), now=work.clock())
    clock.advance(-HOUR_SECONDS)
    assert not sweep(studio).is_work_waiting
    clock.advance(max(BACKOFF_SECONDS))
    assert sweep(studio).is_work_waiting
    assert claim(studio).job_id == held.job_id
