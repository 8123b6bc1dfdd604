"""Real processes: many that want the same jobs, and one that is frozen past its lease."""

import multiprocessing
import os
import signal
import time
import uuid
from collections import Counter
from contextlib import closing

import pytest
from sqlalchemy import func, select

from tests.doorbells import Broker
from tests.figures import RecordFigure
from tests.jobs.processes import Counting, freeze_at_work, listen_for, seconds_until, work_at_every_bell
from tests.jobs.workshop import jobs_of, wait_until
from tests.rows import add_prompt, job_of
from text2song.generation.tables import KIND, GenerationJob
from text2song.jobs.columns import JobStatus
from text2song.jobs.open import open_queue
from text2song.jobs.queue import SilentQueue
from text2song.jobs.runner import Runner
from text2song.jobs.shift import Pace
from text2song.settings import Settings
from text2song.studio import Studio, open_studio

WORKERS = 8


def submit(studio: Studio, *, count: int) -> list[str]:
    with studio.work() as work:
        prompt_id = add_prompt(work.session)
        jobs = [job_of(prompt_id, turn_key=f"user {n % 5}", priority=n % 3) for n in range(count)]
        work.session.add_all(jobs)
        work.session.flush()
        return [str(job.id) for job in jobs]


@pytest.mark.parametrize(
    "count", [pytest.param(40, marks=pytest.mark.slow), pytest.param(200, marks=pytest.mark.proof)]
)
def test_eight_workers_that_hear_every_bell_do_each_job_once(
    settings: Settings, record_figure: RecordFigure, count: int
) -> None:
    studio = open_studio(settings, queue=SilentQueue())
    ids = submit(studio, count=count)
    spawn = multiprocessing.get_context("spawn")
    everybody_is_here, done = spawn.Barrier(WORKERS + 1), spawn.Queue()
    processes = [
        spawn.Process(target=work_at_every_bell, args=(settings.database, count, everybody_is_here, done))
        for _ in range(WORKERS)
    ]
    for process in processes:
        process.start()
    everybody_is_here.wait(60)
    began = time.monotonic()
    by_worker = [done.get(timeout=60) for _ in processes]
    seconds = time.monotonic() - began
    for process in processes:
        process.join(30)

    assert [process.exitcode for process in processes] == [0] * WORKERS
    assert Counter(job_id for made in by_worker for job_id in made) == Counter(ids)
    with studio.read() as reader:
        rows = reader.session.execute(
            select(GenerationJob.status, GenerationJob.attempts, func.count()).group_by(
                GenerationJob.status, GenerationJob.attempts
            )
        )
        assert [tuple(row) for row in rows] == [(JobStatus.SUCCEEDED, 1, count)]
    studio.engine.dispose()
    record_figure("jobs that eight processes claimed and ended", count / seconds, "jobs/s")
    record_figure("workers that got any", sum(bool(made) for made in by_worker), "of 8")


def test_a_worker_frozen_past_its_lease_writes_nothing_when_it_wakes(
    settings: Settings, record_figure: RecordFigure
) -> None:
    studio = open_studio(settings, queue=SilentQueue())
    submit(studio, count=1)
    pace = Pace(lease_seconds=1.0, beat_seconds=0.1)
    spawn = multiprocessing.get_context("spawn")
    woken, may_end = spawn.Queue(), spawn.Event()
    frozen = spawn.Process(target=freeze_at_work, args=(settings.database, pace, woken, may_end))
    frozen.start()
    try:
        assert woken.get(timeout=60) == "working"
        assert frozen.pid is not None
        handler = Counting(studio)
        runner = Runner(studio.work, SilentQueue(), {KIND: handler}, worker="second", pace=pace)

        def claimed_by_another() -> bool:
            runner.sweep()
            runner.run(KIND)
            return bool(handler.done)

        waited_seconds = seconds_until(claimed_by_another, limit_seconds=30)
        before = _row(studio)
        assert (before.status, before.claimed_by, before.lost_leases) == ("succeeded", "second", 1)
        os.kill(frozen.pid, signal.SIGCONT)
        assert woken.get(timeout=30) == "claim_lost"
        assert woken.get(timeout=30) == "ended"
        after = _row(studio)
        assert (after.status, after.claimed_by, after.sequence) == ("succeeded", "second", before.sequence)
        may_end.set()
        frozen.join(30)
        assert frozen.exitcode == 0
    finally:
        if frozen.is_alive():
            frozen.kill()
    studio.engine.dispose()
    record_figure("from the freeze to the next worker's end, with a lease of 1 s", waited_seconds, "s")


def test_a_bell_reaches_the_worker_of_the_right_model_though_another_hears_it_first(
    settings: Settings, broker: Broker, record_figure: RecordFigure
) -> None:
    spawn = multiprocessing.get_context("spawn")
    everybody_is_here, may_end = spawn.Barrier(4), spawn.Event()
    models = ["model/a", "model/b", "model/c"]
    workers = [
        spawn.Process(
            target=listen_for, args=(settings.database, broker.url, model, everybody_is_here, may_end)
        )
        for model in models
    ]
    for worker in workers:
        worker.start()
    everybody_is_here.wait(60)
    time.sleep(1)  # for all to listen
    with closing(open_queue(broker.url)) as queue:
        studio = open_studio(settings, queue=queue)
        with studio.work() as work:
            prompt_id = add_prompt(work.session)
        waited = [_seconds_until_done(studio, prompt_id, model=model) for model in models * 4]
        studio.engine.dispose()
    may_end.set()
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    record_figure("from bell to claim among workers of three models, median", sorted(waited)[6], "s")
    assert sorted(waited)[6] < 0.5


def _seconds_until_done(studio: Studio, prompt_id: uuid.UUID, *, model: str) -> float:
    job = job_of(prompt_id, model=model)
    with studio.work() as work:
        work.session.add(job)
        work.ring(KIND)
    began = time.monotonic()
    wait_until(lambda: [row for row in jobs_of(studio) if row.status != JobStatus.SUCCEEDED] == [])
    assert jobs_of(studio)[-1].claimed_by == model
    return time.monotonic() - began


def _row(studio: Studio) -> GenerationJob:
    with studio.read() as reader:
        return reader.session.scalars(select(GenerationJob)).one()
