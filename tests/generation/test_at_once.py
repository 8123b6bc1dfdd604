"""Requests for the same thing at the same time, on a server where they do not wait for one writer."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from tests.audio.samples import make_sample
from tests.benches import Bench
from tests.databases import outcome_of_second, wait_for_a_lock
from tests.jobs.workshop import shift_of, submit
from tests.studios import START, Desk
from tests.users.people import add_person
from text2song.audio.tables import AudioSample, DoomedBlob
from text2song.errors import Conflict, NotFound, StudioError
from text2song.generation import deletion, service
from text2song.generation.job.handler import GenerationHandler
from text2song.generation.tables import GenerationJob, UsedSeconds
from text2song.jobs import lifecycle
from text2song.jobs.leases import Leases
from text2song.prompts.tables import Prompt
from text2song.studio import Studio, Work

pytestmark = pytest.mark.databases("postgresql")


def refusal_of(work: Work, act: object, row_id: uuid.UUID) -> StudioError | None:
    """Why the second of two could not do it."""
    assert callable(act)
    try:
        act(work, row_id)
    except StudioError as error:
        return error
    return None


def test_of_two_retries_at_once_the_second_is_told_of_the_first(desk: Desk) -> None:
    job_id = uuid.UUID(desk.submit()["id"])
    desk.client.delete(f"/generate/{job_id}")
    made: list[uuid.UUID] = []
    told = outcome_of_second(
        desk.studio,
        lambda work: made.append(service.retry(work, job_id).id),
        lambda work: refusal_of(work, service.retry, job_id),
    )
    assert isinstance(told, Conflict)
    assert str(made[0]) in told.message
    with desk.studio.read() as reader:
        assert reader.session.scalar(select(func.count()).select_from(GenerationJob)) == 2


def job_of_somebody(studio: Studio, **columns: object) -> tuple[uuid.UUID, uuid.UUID]:
    """A job of eight seconds and its prompt."""
    user_id = add_person(studio, "Ada").user_id
    (job_id,) = submit(studio, {"user_id": user_id, "cost": 8.0, **columns})
    with studio.work() as work:
        prompt = work.session.scalars(select(Prompt)).one()
        prompt.user_id = user_id
        return job_id, prompt.id


def used(studio: Studio) -> list[float]:
    with studio.read() as reader:
        return list(reader.session.scalars(select(UsedSeconds.seconds)))


def test_what_a_worker_is_just_beginning_counts_when_it_is_deleted(studio: Studio) -> None:
    _, prompt_id = job_of_somebody(studio)
    now = studio.clock()
    outcome_of_second(
        studio,
        lambda work: lifecycle.claim(work.session, GenerationJob, worker="w", now=now, lease_seconds=15),
        lambda work: deletion.delete_prompt(work, prompt_id),
    )
    assert used(studio) == [8.0]


def test_what_is_deleted_and_forgotten_at_once_counts_once(studio: Studio) -> None:
    job_id, prompt_id = job_of_somebody(studio, status="failed", started_at=START, finished_at=START)
    outcome_of_second(
        studio,
        lambda work: deletion.delete_jobs(work, GenerationJob.id.in_([job_id])),
        lambda work: deletion.delete_prompt(work, prompt_id),
    )
    assert used(studio) == [8.0]


def test_what_is_deleted_twice_at_once_is_gone_for_the_second(studio: Studio) -> None:
    (job,) = submit(studio, {})
    with studio.read() as reader:
        prompt_id = reader.session.get_one(GenerationJob, job).prompt_id
    told = outcome_of_second(
        studio,
        lambda work: deletion.delete_prompt(work, prompt_id),
        lambda work: refusal_of(work, deletion.delete_prompt, prompt_id),
    )
    assert isinstance(told, NotFound)


def test_a_sample_that_is_deleted_twice_at_once_is_doomed_once(studio: Studio) -> None:
    sample = make_sample(studio)
    told = outcome_of_second(
        studio,
        lambda work: deletion.delete_sample(work, sample.id),
        lambda work: refusal_of(work, deletion.delete_sample, sample.id),
    )
    assert isinstance(told, NotFound)
    with studio.read() as reader:
        assert reader.session.scalars(select(AudioSample)).all() == []
        assert len(reader.session.scalars(select(DoomedBlob)).all()) == 3


def in_hand_of_whoever_shares(studio: Studio, job_id: uuid.UUID, act: Callable[[], object]) -> bool:
    """Whether `act`, which waits for the job's prompt, leaves the job to whoever has that prompt in hand."""
    with ThreadPoolExecutor(1) as pool:
        with studio.work() as work:
            job = work.session.get_one(GenerationJob, job_id)
            work.session.get_one(Prompt, job.prompt_id, with_for_update=True)
            later = pool.submit(act)
            wait_for_a_lock(studio.engine)
            query = select(GenerationJob.id).where(GenerationJob.id == job_id)
            is_left = work.session.scalar(query.with_for_update(skip_locked=True)) == job_id
        later.result(30)
    return is_left


def test_a_take_is_kept_by_whoever_has_its_prompt_first_and_then_its_job(bench: Bench) -> None:
    job_id = uuid.UUID(bench.desk.submit()["id"])
    handler = GenerationHandler(bench.desk.studio, bench)
    with Leases(lambda _: (), beat_seconds=60, lease_seconds=60) as leases:
        shift = shift_of(bench.desk.studio, handler, leases=leases)
        assert in_hand_of_whoever_shares(bench.desk.studio, job_id, lambda: handler.run(shift))
    assert bench.job({"id": str(job_id)})["status"] == "succeeded"


def test_a_job_is_retried_by_whoever_has_its_prompt_first(desk: Desk) -> None:
    job_id = uuid.UUID(desk.submit()["id"])
    desk.client.delete(f"/generate/{job_id}")
    answers: list[int] = []
    assert in_hand_of_whoever_shares(
        desk.studio,
        job_id,
        lambda: answers.append(desk.client.post(f"/generate/{job_id}/retry").status_code),
    )
    assert answers == [202]
