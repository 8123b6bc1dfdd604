"""A database that goes away for a moment, at the worst moments; a storage that goes away for long."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import ClassVar

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session

from tests.benches import Bench
from text2song.actors import NOBODY, Actor
from text2song.audio.tables import AudioSample
from text2song.errors import StorageFailed
from text2song.generation.job.handler import GenerationHandler
from text2song.generation.tables import KIND, GenerationJob
from text2song.jobs import lifecycle, patience
from text2song.jobs.columns import JobStatus
from text2song.jobs.lifecycle import MAX_FAILURES, Claim, JobTable
from text2song.jobs.runner import Runner
from text2song.jobs.shift import Pace
from text2song.studio import Studio, Work


class Lossy(Studio):
    """Loses the answers to commits that are worth losing: they came to pass, and nobody was told."""

    lost: ClassVar[list[str]]

    @contextmanager
    def work(self, actor: Actor = NOBODY) -> Iterator[Work]:
        written: list[str] = []
        with super().work(actor) as unit:
            event.listen(unit.session, "before_flush", lambda session, *_: note(written, session.new))
            yield unit
            job = unit.session.scalars(select(GenerationJob.status)).one_or_none()
            written += [job] if job == JobStatus.SUCCEEDED else []
        for name in written:
            if name not in self.lost:
                self.lost.append(name)
                raise StorageFailed("the connection broke before the answer came.")


def note(written: list[str], new: Iterator[object]) -> None:
    written += [type(row).__name__ for row in new if isinstance(row, AudioSample)]


@pytest.mark.databases("sqlite", "postgresql")
def test_a_commit_whose_answer_was_lost_is_not_made_twice(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(Lossy, "lost", [], raising=False)
    job = bench.desk.submit(num_samples=2)
    whole = bench.desk
    studio = whole.studio
    bench.desk = replace(
        whole,
        studio=Lossy(studio.engine, studio.blobs, studio.queue, studio.settings, studio.clock),
    )
    bench.work()
    bench.desk = whole
    assert Lossy.lost == ["AudioSample", JobStatus.SUCCEEDED]
    ended = bench.job(job)
    assert (ended["status"], ended["attempts"], len(ended["samples"])) == ("succeeded", 1, 2)
    with studio.read() as reader:
        assert reader.session.scalar(select(func.count()).select_from(AudioSample)) == 2


def test_while_the_storage_is_away_no_more_is_begun_and_nothing_fails_for_good(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.0)
    desk = bench.desk
    jobs = [desk.submit(num_samples=bench.capacity) for _ in range(MAX_FAILURES + 1)]
    blobs = desk.studio.settings.home / "blobs"
    handler = GenerationHandler(desk.studio, bench)
    runner = Runner(desk.studio.work, desk.bells, {KIND: handler}, worker="w", pace=Pace(beat_seconds=0.05))
    blobs.rename(blobs.with_name("elsewhere"))  # as a disk that is not mounted any more
    runner.run(KIND)
    begun = len(bench.entered)
    assert begun < 2 * bench.capacity  # what entered before the first take could not be kept
    for _ in range(MAX_FAILURES):
        desk.clock.advance(60)
        runner.run(KIND)
    desk.clock.advance(60)
    assert len(bench.entered) == begun
    assert [bench.job(job)["status"] for job in jobs] == ["queued"] * len(jobs)
    assert "see to its disk" in bench.job(jobs[0])["error"]["message"]
    blobs.with_name("elsewhere").rename(blobs)
    runner.run(KIND)
    assert [bench.job(job)["status"] for job in jobs] == ["succeeded"] * len(jobs)
    assert [bench.job(job)["attempts"] for job in jobs] in ([2, 1, 1, 1], [2, 2, 1, 1])


def test_a_take_whose_turn_cannot_be_written_begins_once_the_database_is_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_row, tries = lifecycle.begin_row, list[dt.datetime]()

    def restarted(session: Session, table: JobTable, claim: Claim, *, now: dt.datetime) -> bool:
        tries.append(now)
        if len(tries) == 1:
            raise StorageFailed("the server restarts.")
        return begin_row(session, table, claim, now=now)

    monkeypatch.setattr(lifecycle, "begin_row", restarted)
    job = bench.make(num_samples=2, generation_params={"duration": 0.5})
    assert len(tries) == 2
    assert (job["status"], job["attempts"], job["error"]) == ("succeeded", 1, None)


def test_what_a_leaving_worker_hands_back_outlasts_a_restart_of_the_database(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PAUSE_SECONDS", 0.01)
    hand_back, tries = lifecycle.hand_back, list[Claim]()

    def restarted(session: Session, table: JobTable, claim: Claim) -> None:
        tries.append(claim)
        if len(tries) == 1:
            raise StorageFailed("the server restarts.")
        hand_back(session, table, claim)

    monkeypatch.setattr(lifecycle, "hand_back", restarted)
    handler = GenerationHandler(bench.desk.studio, bench)
    runner = Runner(bench.desk.studio.work, bench.desk.bells, {KIND: handler}, worker="w", pace=Pace())
    bench.before_each_step = lambda _: runner.leave()
    job = bench.desk.submit(num_samples=bench.capacity + 1, generation_params={"duration": 0.5})
    runner.run(KIND)
    waits = bench.job(job)
    assert len(tries) == 2
    assert (waits["status"], waits["attempts"], len(waits["samples"])) == ("queued", 0, bench.capacity)
    bench.before_each_step = None
    bench.work()
    assert (bench.job(job)["status"], bench.job(job)["attempts"]) == ("succeeded", 1)
