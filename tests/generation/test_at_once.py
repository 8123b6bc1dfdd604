"""Requests for the same thing at the same time, on a server where they do not wait for one writer."""

import uuid

import pytest
from sqlalchemy import func, select

from tests.audio.samples import make_sample
from tests.databases import outcome_of_second
from tests.jobs.workshop import submit
from tests.studios import Desk
from text2song.audio.tables import AudioSample, DoomedBlob
from text2song.errors import Conflict, NotFound, StudioError
from text2song.generation import service
from text2song.generation.tables import GenerationJob
from text2song.prompts import service as prompts
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


def test_what_is_deleted_twice_at_once_is_gone_for_the_second(studio: Studio) -> None:
    (job,) = submit(studio, {})
    with studio.read() as reader:
        prompt_id = reader.session.get_one(GenerationJob, job).prompt_id
    told = outcome_of_second(
        studio,
        lambda work: prompts.delete(work, prompt_id),
        lambda work: refusal_of(work, prompts.delete, prompt_id),
    )
    assert isinstance(told, NotFound)


def test_a_sample_that_is_deleted_twice_at_once_is_doomed_once(studio: Studio) -> None:
    sample = make_sample(studio)
    told = outcome_of_second(
        studio,
        lambda work: service.delete_sample(work, sample.id),
        lambda work: refusal_of(work, service.delete_sample, sample.id),
    )
    assert isinstance(told, NotFound)
    with studio.read() as reader:
        assert reader.session.scalars(select(AudioSample)).all() == []
        assert len(reader.session.scalars(select(DoomedBlob)).all()) == 3
