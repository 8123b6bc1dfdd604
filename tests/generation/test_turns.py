"""Fairness, take by take: one job of a user beside five hundred of another, on one worker and on two."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import pytest

from tests.jobs.workshop import wait_until
from tests.rows import add_prompt, job_of
from tests.studios import START, ListeningQueue, noise_info
from text2song.errors import ModelOutputRejected
from text2song.generation.job import GenerationHandler
from text2song.generation.tables import KIND, GenerationTake
from text2song.jobs.runner import Pace, Runner
from text2song.model.protocol import ModelInfo, RowResult, Watch
from text2song.music.spec import GenerationSpec
from text2song.studio import Studio, utc_now
from text2song.users.tables import User

pytestmark = pytest.mark.databases("sqlite", "postgresql")
CAPACITY = 4
MANY = 500
HIS, HERS = 1, 2
"""The seeds of the one who has many jobs, and of the one who has one."""


class Batch(NamedTuple):
    """Takes that began at the same time, in their order."""

    worker: int
    seeds: list[int]


@dataclass
class Gated:
    """A model that begins its takes at once and ends them when its gate is opened: each fails, for good."""

    worker: int
    batches: list[Batch]
    """Of all workers, in the order in which they began."""
    gate: threading.Event = field(default_factory=threading.Event)
    capacity: int = CAPACITY

    @property
    def info(self) -> ModelInfo:
        return noise_info()

    def generate(self, specs: Sequence[GenerationSpec], *, watch: Watch) -> Iterator[RowResult]:
        del watch
        self.batches.append(Batch(self.worker, [spec.seed for spec in specs]))
        assert self.gate.wait(30)
        for row in range(len(specs)):
            yield RowResult(row, ModelOutputRejected("silence"))


def fill(studio: Studio, name: str, *, seed: int, takes_of_jobs: Sequence[int]) -> None:
    """Waiting jobs of a new user, with so many takes each."""
    spec = GenerationSpec(sentence="a slow walk home", seed=seed, duration_seconds=1.0)
    with studio.work() as work:
        user = User(name=name, created_at=START)
        work.session.add(user)
        work.session.flush()
        owned = {"user_id": user.id, "turn_key": str(user.id), "model": noise_info().id}
        prompt_id = add_prompt(work.session)
        jobs = [job_of(prompt_id, **owned, rows=takes, num_samples=takes) for takes in takes_of_jobs]
        work.session.add_all(jobs)
        work.session.flush()
        work.session.add_all(
            GenerationTake(job_id=job.id, take=take, side=0, seed=seed, spec=spec.as_json())
            for job in jobs
            for take in range(job.rows)
        )


@pytest.mark.parametrize("workers", [1, 2])
def test_the_first_take_of_one_job_begins_before_any_later_take_of_five_hundred(
    studio: Studio, workers: int
) -> None:
    running = replace(studio, clock=utc_now)
    batches: list[Batch] = []
    staff = [Gated(number, batches) for number in range(workers)]
    runners = [
        Runner(
            running.work,
            ListeningQueue(),
            {KIND: GenerationHandler(running, model)},
            worker=str(model.worker),
            pace=Pace(lease_seconds=60.0, beat_seconds=1.0),
        )
        for model in staff
    ]
    fill(running, "he", seed=HIS, takes_of_jobs=[1, 2 * CAPACITY + 1, 3, 2] * (MANY // 4))
    with ThreadPoolExecutor(workers) as pool:
        at_work = [pool.submit(runner.run, KIND) for runner in runners]
        try:
            wait_until(lambda: len(batches) == workers)
            fill(running, "she", seed=HERS, takes_of_jobs=[1])
            staff[0].gate.set()  # one worker is free; the next batch is the first that she can be in
            wait_until(lambda: len(batches) > workers)
        finally:
            for runner, model in zip(runners, staff, strict=True):
                runner.leave()
                model.gate.set()
        assert all(each.result(30) for each in at_work)
    before, later = batches[:workers], batches[workers:]
    assert {seed for batch in before for seed in batch.seeds} == {HIS}
    assert later[0].worker == 0
    assert later[0].seeds[0] == HERS
