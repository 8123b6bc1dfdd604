"""Fairness, take by take: whoever was served longest ago has the next free row, on one worker and on two."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest

from tests.generation.job.stage import INFO, Doorman, StagedModel, rejected
from tests.jobs.workshop import wait_until
from tests.rows import add_prompt, job_of
from tests.studios import START, ListeningQueue, noise_info
from text2song.generation.job.handler import GenerationHandler
from text2song.generation.tables import KIND, GenerationTake
from text2song.jobs.runner import Runner
from text2song.jobs.shift import Pace
from text2song.models import service as models
from text2song.music.spec import GenerationSpec
from text2song.studio import Studio, utc_now
from text2song.users.tables import User

pytestmark = pytest.mark.databases("sqlite", "postgresql")
CAPACITY = 4
MANY = 500
HIS, HERS = 1, 2
"""The seeds of one who has much to make, and of another."""


@dataclass
class Staff:
    """Workers at models whose rows end, each for good, when a test lets them go."""

    studio: Studio
    doors: list[Doorman] = field(default_factory=list)
    models: list[StagedModel] = field(default_factory=list)

    def begun(self, worker: int) -> list[int]:
        """The seeds of the takes that began there, in order."""
        return [spec.seed for spec in self.models[worker].entered]

    def wait_for(self, *rows: int) -> None:
        """Until so many takes have begun at each worker."""
        wait_until(lambda: [len(model.entered) for model in self.models] == list(rows))


@contextmanager
def at_work(studio: Studio, *, workers: int, is_announced: bool = False) -> Iterator[Staff]:
    """So many workers, at what waits when they come; at the end they leave it as it is."""
    if is_announced:
        for number in range(workers):
            with studio.work() as work:
                models.announce(work, INFO, worker=str(number), capacity=CAPACITY)
    staff = Staff(studio)
    runners = []
    for number in range(workers):
        staff.doors.append(Doorman())
        staff.models.append(StagedModel(CAPACITY, ends=staff.doors[number], outcome=rejected))
        handler = GenerationHandler(studio, staff.models[number])
        pace = Pace(lease_seconds=60.0, beat_seconds=0.05)
        runners.append(Runner(studio.work, ListeningQueue(), {KIND: handler}, worker=str(number), pace=pace))
    with ThreadPoolExecutor(workers) as pool:
        runs = [pool.submit(runner.run, KIND) for runner in runners]
        try:
            yield staff
        finally:
            for runner in runners:
                runner.stop()
        assert all(run.result(30) for run in runs)


@pytest.fixture(name="running")
def on_the_wall_clock(studio: Studio) -> Studio:
    return replace(studio, clock=utc_now)


def fill(studio: Studio, name: str, *, seed: int, takes_of_jobs: Sequence[int], priority: int = 0) -> None:
    """Waiting jobs of a new user, with so many takes each."""
    spec = GenerationSpec(sentence="a slow walk home", seed=seed, duration_seconds=1.0)
    with studio.work() as work:
        user = User(name=name, created_at=START)
        work.session.add(user)
        work.session.flush()
        owned = {"user_id": user.id, "turn_key": str(user.id), "model": noise_info().id}
        prompt_id = add_prompt(work.session)
        jobs = [
            job_of(prompt_id, **owned, priority=priority, rows=takes, num_samples=takes)
            for takes in takes_of_jobs
        ]
        work.session.add_all(jobs)
        work.session.flush()
        work.session.add_all(
            GenerationTake(job_id=job.id, take=take, side=0, seed=seed, spec=spec.as_json())
            for job in jobs
            for take in range(job.rows)
        )


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    "his", [[1, 2 * CAPACITY + 1, 3, 2] * (MANY // 4), [MANY] * 2], ids=["500 jobs", "500 takes"]
)
def test_the_first_take_of_one_job_begins_before_any_later_take_of_five_hundred(
    running: Studio, workers: int, his: list[int]
) -> None:
    fill(running, "he", seed=HIS, takes_of_jobs=his)
    with at_work(running, workers=workers) as staff:
        staff.wait_for(*[CAPACITY] * workers)
        fill(running, "she", seed=HERS, takes_of_jobs=[1])
        staff.doors[0].let_go()  # one row is free; it is the first that could be hers
        staff.wait_for(CAPACITY + 1, *[CAPACITY] * (workers - 1))
        assert staff.begun(0) == [HIS] * CAPACITY + [HERS]
        assert all(staff.begun(worker) == [HIS] * CAPACITY for worker in range(1, workers))
        staff.doors[0].let_go()
        staff.wait_for(CAPACITY + 2, *[CAPACITY] * (workers - 1))
        assert staff.begun(0)[-1] == HIS  # she has no more


def test_two_with_large_jobs_alternate_take_by_take(running: Studio) -> None:
    fill(running, "he", seed=HIS, takes_of_jobs=[60])
    fill(running, "she", seed=HERS, takes_of_jobs=[60])
    with at_work(running, workers=1) as staff:
        for rows in range(CAPACITY, CAPACITY + 16):
            staff.wait_for(rows)
            staff.doors[0].let_go()
        assert staff.begun(0)[: CAPACITY + 15] == ([HIS, HERS] * 10)[: CAPACITY + 15]


def test_two_with_large_jobs_share_two_workers(running: Studio) -> None:
    fill(running, "he", seed=HIS, takes_of_jobs=[60] * 3)
    fill(running, "she", seed=HERS, takes_of_jobs=[60] * 3)
    with at_work(running, workers=2) as staff:
        for rows in range(CAPACITY, CAPACITY + 12):
            staff.wait_for(rows, rows)
            for door in staff.doors:
                door.let_go()
        begun = [staff.begun(worker)[CAPACITY : CAPACITY + 11] for worker in range(2)]
    his = sum(seeds.count(HIS) for seeds in begun)
    assert abs(his - 11) <= 2  # of 22; two that begin in the same moment may be one person's


def test_what_waits_is_left_to_a_worker_that_has_rows_free(running: Studio) -> None:
    """A job stays where it was begun, so whoever comes first must not take more than it has rows for."""
    for number in range(2 * CAPACITY):  # more than two workers begin
        fill(running, f"user {number}", seed=10 + number, takes_of_jobs=[2 * CAPACITY])
    with at_work(running, workers=2, is_announced=True) as staff:
        staff.wait_for(CAPACITY, CAPACITY)
        begun = [set(staff.begun(worker)) for worker in range(2)]
        assert not begun[0] & begun[1]
        assert min(map(len, begun)) == 1  # the first had rows for one, as long as the other had some free
        served = begun[0] | begun[1]
        staff.doors[0].let_go()
        staff.wait_for(CAPACITY + 1, CAPACITY)
        assert staff.begun(0)[-1] not in served  # all are full, so whoever was never served comes in


def test_a_higher_priority_comes_before_what_is_left_of_a_job_that_runs(running: Studio) -> None:
    fill(running, "he", seed=HIS, takes_of_jobs=[60])
    with at_work(running, workers=1) as staff:
        staff.wait_for(CAPACITY)
        fill(running, "she", seed=HERS, takes_of_jobs=[3], priority=1)
        staff.doors[0].let_go(4)
        staff.wait_for(CAPACITY + 4)
        assert staff.begun(0) == [HIS] * CAPACITY + [HERS] * 3 + [HIS]


def test_a_lower_priority_waits_until_a_job_that_runs_has_begun_its_last_take(running: Studio) -> None:
    fill(running, "he", seed=HIS, takes_of_jobs=[CAPACITY + 2])
    with at_work(running, workers=1) as staff:
        staff.wait_for(CAPACITY)
        fill(running, "she", seed=HERS, takes_of_jobs=[2], priority=-1)
        staff.doors[0].let_go(3)
        staff.wait_for(CAPACITY + 3)
        assert staff.begun(0) == [HIS] * (CAPACITY + 2) + [HERS]


def test_a_job_that_comes_while_there_is_room_enters_beside_those_that_run(running: Studio) -> None:
    fill(running, "he", seed=HIS, takes_of_jobs=[1])
    with at_work(running, workers=1) as staff:
        staff.wait_for(1)
        fill(running, "she", seed=HERS, takes_of_jobs=[1])
        staff.wait_for(2)
        assert staff.begun(0) == [HIS, HERS]
