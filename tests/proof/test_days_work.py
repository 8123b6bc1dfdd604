"""A worker that works for long keeps its memory: takes short and long, cancelled, failed, with adapters."""

import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.benches import Bench, WatchedBatch
from tests.figures import RecordFigure
from tests.model.adapters import random_factors
from tests.studios import Desk
from text2song.errors import ModelOutputRejected
from text2song.model.musicgen import MusicGen
from text2song.model.protocol import RowResult
from text2song.music.sampling import SamplingParams
from text2song.music.spec import AdapterWeight, GenerationSpec

WARM_UP = 20
ADAPTERS = tuple(AdapterWeight(letter * 64) for letter in "abcd")


def resident_bytes() -> int:
    """Of this process, in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def growth_over(jobs: int, *, step: Callable[[int], None]) -> float:
    """The share by which memory grew after the first jobs."""
    before = 0
    for number in range(jobs):
        step(number)
        if number + 1 == WARM_UP:
            before = resident_bytes()
    return resident_bytes() / before - 1


@pytest.fixture
def model(untrained_model: MusicGen) -> MusicGen:
    for number, adapter in enumerate(ADAPTERS):
        factors = random_factors(untrained_model.info.module_shapes, rank=2 + number, seed=number)
        untrained_model.adapters.add(adapter.digest, factors)
    return untrained_model


def a_batch(model: MusicGen, number: int) -> None:
    """Some rows of every kind, one of which leaves midway."""
    chance = random.Random(number)
    wanted = [
        GenerationSpec(
            f"take {chance.randrange(1000)}",
            seed=chance.randrange(1000),
            duration_seconds=chance.choice([0.5, 1.0, 3.0]),
            sampling=SamplingParams(guidance_scale=chance.choice([1.0, 3.0])),
            adapters=chance.choice(
                [(), ADAPTERS[:1], ADAPTERS[1:3], (replace(ADAPTERS[3], weight=chance.random()),)]
            ),
        )
        for _ in range(chance.randint(1, 6))
    ]
    batch = model.open_batch()
    leaves_at = chance.randrange(60)
    for step in range(10_000):
        while wanted and batch.has_room_for(wanted[-1]):
            batch.enter(wanted.pop())
        if step == leaves_at and batch.rows:
            batch.leave(chance.choice(list(batch.rows)))
        batch.advance()
        if not batch.rows and not wanted:
            return


def a_job(bench: Bench, number: int) -> None:
    """A job that succeeds, is cancelled while it runs, or fails."""
    chance = random.Random(number)
    duration = chance.choice([0.5, 0.5, 1.0, 2.0, 6.0])
    job = bench.desk.submit(
        num_samples=chance.randint(1, 3), generation_params={"seed": number, "duration": duration}
    )
    fate = chance.random()
    bench.trouble = _rejected if fate < 0.15 else None

    def cancel(batch: WatchedBatch) -> None:
        if max((row.frames for row in batch.rows.values()), default=0) > 8:
            bench.desk.client.delete(f"/generate/{job['id']}")
            bench.before_each_step = None

    bench.before_each_step = cancel if fate > 0.85 else None
    bench.work()
    wanted = "failed" if fate < 0.15 else "cancelled" if fate > 0.85 else "succeeded"
    assert bench.job(job)["status"] == wanted


def _rejected(_: Desk, result: RowResult) -> RowResult:
    return replace(result, outcome=ModelOutputRejected("The model produced silence."))


@pytest.mark.slow
def test_rows_leave_nothing_behind(model: MusicGen) -> None:
    """The short form, of the engine alone."""
    assert growth_over(40, step=lambda number: a_batch(model, number)) < 0.03


@pytest.mark.proof
@pytest.mark.timeout(3600)
def test_a_days_work_leaves_nothing_behind(
    bench: Bench, model: MusicGen, record_figure: RecordFigure
) -> None:
    def step(number: int) -> None:
        a_job(bench, number)
        a_batch(model, number)

    growth = growth_over(200, step=step)
    record_figure("growth of memory over 180 jobs after the first 20", 100 * growth, "%")
    assert growth < 0.03
