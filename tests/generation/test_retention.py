"""What is kept for a while only, and what stays whatever its age."""

import datetime as dt
from dataclasses import replace

import pytest
import sqlalchemy as sa

from tests.audio.samples import make_sample
from tests.rows import add_prompt, job_of
from tests.studios import START, Clock
from tests.users.people import add_person
from text2song.audio.tables import AudioSample, DoomedBlob
from text2song.db import registry
from text2song.db.base import Base
from text2song.generation import retention
from text2song.generation.retention import Expired, count, retire, strong_references
from text2song.generation.tables import GenerationJob, GenerationTake, UsedSeconds
from text2song.prompts.tables import Prompt
from text2song.studio import Studio

pytestmark = pytest.mark.databases("sqlite", "postgresql")
DAY = 86_400.0


def keeping(studio: Studio, *, jobs: float | None = None, samples: float | None = None) -> Studio:
    """The studio with these days in its settings."""
    update = {"keep_finished_jobs_days": jobs, "keep_samples_days": samples}
    return replace(studio, settings=studio.settings.model_copy(update=update))


def counted(studio: Studio) -> Expired:
    with studio.read() as reader:
        return count(reader)


def all_of(studio: Studio, table: type[Base]) -> int:
    with studio.read() as reader:
        return reader.session.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def put_jobs(studio: Studio, *, age_days: float, statuses: tuple[str, ...]) -> None:
    finished_at = studio.clock() - dt.timedelta(days=age_days)
    with studio.work() as work:
        prompt_id = add_prompt(work.session)
        for status in statuses:
            is_over = status not in {"queued", "running"}
            job = job_of(prompt_id, status=status, finished_at=finished_at if is_over else None)
            work.session.add(job)
            work.session.flush()
            work.session.add(GenerationTake(job_id=job.id, take=0, side=0, seed=1, spec={}))


def test_nothing_goes_unless_somebody_says_so(studio: Studio, clock: Clock) -> None:
    make_sample(studio)
    put_jobs(studio, age_days=1000, statuses=("succeeded",))
    clock.advance(1000 * DAY)
    assert counted(studio) == Expired()
    assert list(retire(studio)) == []
    assert all_of(studio, AudioSample) == all_of(studio, GenerationJob) == 1


def test_old_finished_jobs_go_with_their_takes(studio: Studio) -> None:
    put_jobs(studio, age_days=30, statuses=("succeeded", "failed", "cancelled", "queued", "running"))
    put_jobs(studio, age_days=29.9, statuses=("succeeded",))
    kept = keeping(studio, jobs=30)
    assert counted(kept) == Expired(jobs=3)
    assert sum(retire(kept)) == 3
    assert counted(kept) == Expired()
    assert all_of(studio, GenerationJob) == all_of(studio, GenerationTake) == 3
    assert all_of(studio, Prompt) == 2


def test_what_deleted_jobs_used_goes_with_its_day(studio: Studio, clock: Clock) -> None:
    ada = add_person(studio, "Ada")
    with studio.work() as work:
        for hours in (0, 1):
            asked_at = clock.now - dt.timedelta(hours=hours)
            work.session.add(UsedSeconds(user_id=ada.user_id, seconds=8, asked_at=asked_at))
    clock.advance(DAY - 3601)
    assert sum(retire(studio)) == 0
    clock.advance(1)
    assert sum(retire(studio)) == 1
    with studio.read() as reader:
        assert reader.session.scalars(sa.select(UsedSeconds.asked_at)).one() == START
    clock.advance(3600)
    assert sum(retire(studio)) == 1
    assert all_of(studio, UsedSeconds) == 0


def test_samples_of_forgotten_jobs_stay(studio: Studio) -> None:
    sample = make_sample(studio)
    put_jobs(studio, age_days=30, statuses=("succeeded",))
    with studio.work() as work:
        work.session.execute(sa.update(GenerationTake).values(audio_id=sample.id))
    assert sum(retire(keeping(studio, jobs=1))) == 1
    assert all_of(studio, AudioSample) == 1


def test_old_samples_go_with_their_bytes_and_their_jobs_hear_of_it(studio: Studio, clock: Clock) -> None:
    old = make_sample(studio)
    put_jobs(studio, age_days=0, statuses=("succeeded",))
    with studio.work() as work:
        work.session.execute(sa.update(GenerationTake).values(audio_id=old.id))
    clock.advance(7 * DAY)
    make_sample(studio, seed=1)
    kept = keeping(studio, samples=7)
    assert counted(kept) == Expired(samples=1, sample_bytes=old.size_bytes)
    assert sum(retire(kept)) == 1
    assert counted(kept) == Expired()
    assert all_of(studio, AudioSample) == 1
    with studio.read() as reader:
        doomed = set(reader.session.scalars(sa.select(DoomedBlob.key)))
        assert doomed == {old.storage_path, old.peaks_path, old.codes_path}
        assert reader.session.scalars(sa.select(GenerationJob.sequence)).one() == 2


@pytest.fixture
def needed(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> AudioSample:
    """An old sample on which something of a later version was built."""
    sample = make_sample(studio)
    tables = sa.MetaData()
    built_on = sa.Table(
        "built_on", tables, sa.Column("audio_id", sa.Uuid(), sa.ForeignKey(AudioSample.__table__.c.id))
    )
    with studio.work() as work:
        built_on.create(work.session.connection())
        work.session.execute(sa.insert(built_on).values(audio_id=sample.id))
    monkeypatch.setattr(registry, "metadata", lambda: tables)
    return sample


def test_what_something_was_built_on_stays(studio: Studio, clock: Clock, needed: AudioSample) -> None:
    make_sample(studio, seed=1)
    clock.advance(30 * DAY)
    kept = keeping(studio, samples=7)
    assert counted(kept).samples == 1
    assert sum(retire(kept)) == 1
    with studio.read() as reader:
        assert reader.session.scalars(sa.select(AudioSample.id)).all() == [needed.id]


def test_what_is_built_on_a_sample_in_this_very_moment_keeps_it(
    studio: Studio, clock: Clock, needed: AudioSample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "strong_references", lambda _: [])  # as if it had not been there yet
    clock.advance(30 * DAY)
    assert sum(retire(keeping(studio, samples=7))) == 0
    assert all_of(studio, AudioSample) == 1
    assert needed.size_bytes


def test_keys_that_give_way_need_nothing() -> None:
    assert strong_references(registry.metadata()) == []  # takes forget their sample


def test_many_go_in_steps(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PIECE_LIMIT", 2)
    put_jobs(studio, age_days=30, statuses=("failed",) * 5)
    steps = []
    for gone in retire(keeping(studio, jobs=1)):
        steps.append(gone)
        assert studio.engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # of QueuePool
    assert steps == [2, 2, 1]
