"""A worker that works when it is told to, so that tests see each step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.studios import Desk

if TYPE_CHECKING:
    from text2song.model.musicgen import MusicGen
    from text2song.model.protocol import Batch, ModelInfo, MusicModel, RowProgress, RowResult
    from text2song.music.spec import GenerationSpec

Trouble = Callable[[Desk, "RowResult"], "RowResult"]
Step = Callable[["WatchedBatch"], object]


@dataclass
class Bench:
    """A desk, and the real untrained model behind it."""

    desk: Desk
    model: MusicModel
    trouble: Trouble | None = None
    """What happens to a result between the model and the handler."""
    before_each_step: Step | None = None
    """What happens while the model works, between two frames."""
    entered: list[GenerationSpec] = field(default_factory=list)
    """What the model was asked for, in order."""
    crowds: list[int] = field(default_factory=list)
    """How many were there, after each that entered."""

    def make(self, **body: object) -> dict[str, Any]:
        """A job that is over."""
        job = self.desk.submit(**body)
        self.work()
        return self.job(job)

    def job(self, job: dict[str, Any]) -> dict[str, Any]:
        """The job as it is now."""
        answer = self.desk.client.get(f"/generate/{job['id']}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def sample(self, job: dict[str, Any], *, take: int = 0) -> dict[str, Any]:
        """What the API says of the sample of a take."""
        answer = self.desk.client.get(f"/audio/{self.job(job)['takes'][take]['audio_id']}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def work(self) -> None:
        """Do all jobs that are ready."""
        from text2song.generation.job.handler import GenerationHandler
        from text2song.generation.tables import KIND
        from text2song.jobs.runner import Runner
        from text2song.jobs.shift import Pace

        handler = GenerationHandler(self.desk.studio, self)
        pace = Pace(beat_seconds=0.05)
        queue = self.desk.bells
        Runner(self.desk.studio.work, queue, {KIND: handler}, worker="bench", pace=pace).run(KIND)

    @property
    def info(self) -> ModelInfo:
        return self.model.info

    @property
    def capacity(self) -> int:
        return self.model.capacity

    def open_batch(self) -> Batch:
        return WatchedBatch(self, self.model.open_batch())


@dataclass
class WatchedBatch:
    """The model's own batch, in which all that comes and goes is noted."""

    bench: Bench
    batch: Batch
    specs: dict[int, GenerationSpec] = field(default_factory=dict)
    """Of all rows that ever entered."""

    @property
    def rows(self) -> Mapping[int, RowProgress]:
        return self.batch.rows

    def has_room_for(self, spec: GenerationSpec) -> bool:
        return self.batch.has_room_for(spec)

    def enter(self, spec: GenerationSpec) -> int:
        number = self.batch.enter(spec)
        self.specs[number] = spec
        self.bench.entered.append(spec)
        self.bench.crowds.append(len(self.rows))
        return number

    def leave(self, row: int) -> None:
        self.batch.leave(row)

    def advance(self) -> Sequence[RowResult]:
        if self.bench.before_each_step is not None:
            self.bench.before_each_step(self)
        trouble = self.bench.trouble
        results = self.batch.advance()
        return [trouble(self.bench.desk, result) for result in results] if trouble else results


@pytest.fixture(scope="session")
def untrained_model(_models_folder: Path) -> MusicGen:
    from text2song.model.musicgen import MusicGen

    return MusicGen.load(_models_folder / "untrained-noise", capacity=4)


@pytest.fixture
def bench(desk: Desk, untrained_model: MusicGen) -> Bench:
    """One for a test of its own."""
    return open_bench(desk, untrained_model)


@pytest.fixture(scope="module")
def shared_bench(shared_desk: Desk, untrained_model: MusicGen) -> Bench:
    """One for all tests of a module, which must not mind each other's jobs."""
    return open_bench(shared_desk, untrained_model)


def open_bench(desk: Desk, model: MusicModel) -> Bench:
    """The model takes its place behind the desk."""
    from text2song.models import service as models

    with desk.studio.work() as work:
        models.announce(work, model.info, worker="bench", capacity=model.capacity)
    return Bench(desk, model)
