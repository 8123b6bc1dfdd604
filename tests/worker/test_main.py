"""A real worker with the untrained model: it comes, works, is counted, and leaves nothing undone."""

import datetime as dt
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sqlalchemy import func, select

from tests import rows
from tests.audio.samples import record_tone
from tests.jobs.workshop import names_of_threads, wait_until
from tests.studios import START, Clock, furnish, noise_info
from text2song.audio.tables import AudioSample, DoomedBlob
from text2song.errors import DatabaseBusy, InvalidSetting, ModelMissing, UnexpectedFailure
from text2song.generation import service as generation
from text2song.generation.schemas import GenerateIn
from text2song.generation.tables import KIND, GenerationJob, GenerationTake
from text2song.jobs.columns import JobStatus
from text2song.jobs.threads import ThreadQueue
from text2song.model.precision import precision_for
from text2song.models import queries as models
from text2song.models.tables import ModelWorker
from text2song.names import NOISE_MODEL
from text2song.settings import Settings
from text2song.studio import Studio, Work, open_studio
from text2song.worker import main
from text2song.worker.main import Worker

BEAT_AND_SWEEP = {"beat_seconds": 0.05, "sweep_seconds": 0.1}


@pytest.fixture
def settings(tmp_path: Path, _migrated_database: Path, _models_folder: Path) -> Settings:
    """A home with the untrained model in it."""
    return furnish(tmp_path / "home", database=_migrated_database, models=_models_folder)


@contextmanager
def working(settings: Settings) -> Iterator[tuple[Studio, Worker]]:
    queue = ThreadQueue()
    studio = open_studio(settings.model_copy(update=BEAT_AND_SWEEP), queue=queue)
    worker = Worker(studio, queue)
    worker.start()
    try:
        yield studio, worker
    finally:
        worker.stop()
        studio.engine.dispose()


def submit(studio: Studio, *, takes: int = 1, duration_seconds: float = 1) -> uuid.UUID:
    asked = {
        "prompt": {"text": "a slow walk home"},
        "num_samples": takes,
        "generation_params": {"seed": 7, "duration": duration_seconds},
    }
    with studio.work() as work:
        return generation.submit(work, GenerateIn.model_validate(asked)).id


def job_of(studio: Studio, job_id: uuid.UUID) -> GenerationJob:
    with studio.read() as reader:
        return reader.session.get_one(GenerationJob, job_id)


def alive(studio: Studio) -> list[ModelWorker]:
    with studio.read() as reader:
        return [worker for workers in models.alive_workers(reader).values() for worker in workers]


def is_over(studio: Studio, job_id: uuid.UUID) -> Callable[[], bool]:
    return lambda: job_of(studio, job_id).is_final


def test_it_comes_works_learns_its_speed_and_leaves(settings: Settings) -> None:
    with working(settings) as (studio, worker):
        [announced] = alive(studio)
        chosen = precision_for(settings.dtype, device=torch.device("cpu"))
        assert (announced.capacity, announced.dtype, announced.speed) == (8, chosen.name, None)
        job_id = submit(studio)
        wait_until(is_over(studio, job_id), limit_seconds=60)
        job = job_of(studio, job_id)
        assert (job.status, job.attempts, job.claimed_by) == ("succeeded", 1, announced.name)
        wait_until(lambda: (alive(studio)[0].speed or 0) > 0)
        assert alive(studio)[0].heartbeat_at > announced.heartbeat_at
        worker.stop()
        assert alive(studio) == []
        assert not {f"{KIND} worker", "sweep", "leases"} & names_of_threads()


def test_stopping_in_the_middle_hands_the_job_back_and_the_next_worker_ends_it(settings: Settings) -> None:
    with working(settings) as (studio, worker):
        job_id = submit(studio, takes=2, duration_seconds=10)
        wait_until(lambda: job_of(studio, job_id).progress > 0, limit_seconds=60)
        worker.stop()
        job = job_of(studio, job_id)
        assert (job.status, job.attempts, job.lost_leases, job.failures) == ("queued", 0, 0, 0)
    with working(settings) as (studio, _):
        wait_until(is_over(studio, job_id), limit_seconds=120)
        assert job_of(studio, job_id).status == "succeeded"
        with studio.read() as reader:
            made = reader.session.scalars(select(GenerationTake.audio_id)).all()
            assert len(set(made)) == 2
            assert reader.session.scalar(select(func.count()).select_from(AudioSample)) == 2


def test_two_workers_of_one_model_do_each_job_once(settings: Settings) -> None:
    with working(settings) as (studio, _), working(settings) as (other, _):
        assert len(alive(studio)) == 2
        assert {worker.model_id for worker in alive(studio)} == {alive(other)[0].model_id}
        ids = [submit(studio) for _ in range(6)]
        wait_until(lambda: all(job_of(studio, i).is_final for i in ids), limit_seconds=120)
        with studio.read() as reader:
            jobs = reader.session.scalars(select(GenerationJob)).all()
            assert {(job.status, job.attempts) for job in jobs} == {(JobStatus.SUCCEEDED, 1)}
            assert reader.session.scalar(select(func.count()).select_from(AudioSample)) == 6
    assert alive_after(settings) == []


def alive_after(settings: Settings) -> list[ModelWorker]:
    studio = open_studio(settings, queue=ThreadQueue())
    try:
        return alive(studio)
    finally:
        studio.engine.dispose()


def test_a_model_that_nobody_added_says_how_to_add_it_and_leaves_no_worker(settings: Settings) -> None:
    queue = ThreadQueue()
    studio = open_studio(settings.model_copy(update={"model": "somebody/something"}), queue=queue)
    worker = Worker(studio, queue)
    with pytest.raises(ModelMissing, match="text2song model add somebody/something"):
        worker.start()
    assert alive(studio) == []
    worker.stop()  # nothing to hand back
    assert f"{KIND} worker" not in names_of_threads()
    studio.engine.dispose()


def test_the_untrained_model_is_made_where_it_is_missing(settings: Settings) -> None:
    shutil.rmtree(settings.models_folder)
    with working(settings) as (studio, _):
        assert list(settings.models_folder.rglob("model.safetensors"))
        with studio.read() as reader:
            assert models.choose(reader, None).name == NOISE_MODEL == noise_info().id


def test_a_worker_that_was_forgotten_while_its_machine_slept_announces_itself_again(
    settings: Settings,
) -> None:
    with working(settings) as (studio, worker):
        [announced] = alive(studio)
        with studio.work() as work:
            work.session.delete(work.session.get_one(ModelWorker, announced.id))
        wait_until(lambda: [row.name for row in alive(studio)] == [announced.name])
        worker.stop()
        assert alive(studio) == []


def test_a_database_that_fails_for_a_while_costs_beats_and_no_worker(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[str] = []

    def broken(_: Studio) -> AbstractContextManager[Work]:
        failures.append("one more")
        raise DatabaseBusy("locked")

    with working(settings) as (studio, _):
        monkeypatch.setattr(Studio, "work", broken)
        wait_until(lambda: len(failures) >= 6)
        monkeypatch.undo()
        job_id = submit(studio)
        wait_until(is_over(studio, job_id), limit_seconds=60)
        assert job_of(studio, job_id).status == "succeeded"
        assert len(alive(studio)) == 1


def test_it_is_healthy_while_the_database_hears_of_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "HEALTHY_SECONDS", 0.5)

    def broken(_: Studio) -> AbstractContextManager[Work]:
        raise DatabaseBusy("locked")

    with working(settings) as (_, worker):
        assert worker.is_healthy
        worker.require_alive()
        monkeypatch.setattr(Studio, "work", broken)
        wait_until(lambda: not worker.is_healthy)
        monkeypatch.undo()
        wait_until(lambda: worker.is_healthy)


def test_a_worker_whose_thread_ended_is_of_no_use(settings: Settings) -> None:
    with working(settings) as (_, worker):
        assert worker._started is not None
        worker._queue.stop(worker._started[0])
        with pytest.raises(UnexpectedFailure, match="Start it again"):
            worker.require_alive()


def test_work_that_this_version_does_not_know_is_refused(settings: Settings) -> None:
    queue = ThreadQueue()
    studio = open_studio(settings.model_copy(update={"queues": ("gardening",)}), queue=queue)
    with pytest.raises(InvalidSetting, match="it does generation"):
        Worker(studio, queue).start()
    studio.engine.dispose()


def test_the_search_takes_away_what_is_kept_no_longer_and_finds_orphans(studio: Studio, clock: Clock) -> None:
    record_tone(studio.blobs)
    clock.now = dt.datetime.now(dt.UTC) + dt.timedelta(days=2)  # bytes have the wall clock's times
    with studio.work() as work:
        old = rows.job_of(rows.add_prompt(work.session), status="failed", finished_at=START)
        work.session.add(old)
    kept = studio.settings.model_copy(update={"keep_finished_jobs_days": 1.0})
    worker = Worker(replace(studio, settings=kept), ThreadQueue())
    for _ in range(10):
        worker._search_on()
    with studio.read() as reader:
        assert reader.session.scalars(select(GenerationJob)).all() == []
        assert len(reader.session.scalars(select(DoomedBlob)).all()) == 3
