"""A worker that works when it is told to, so that tests see each step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.studios import Desk

if TYPE_CHECKING:
    from text2song.model.musicgen import MusicGen
    from text2song.model.protocol import ModelInfo, RowResult, Watch
    from text2song.music.spec import GenerationSpec

Trouble = Callable[[Desk, "RowResult"], "RowResult"]


@dataclass
class Bench:
    """A desk, and the real untrained model behind it."""

    desk: Desk
    model: MusicGen
    trouble: Trouble | None = None
    """What happens to a result between the model and the handler."""
    batches: list[list[GenerationSpec]] = field(default_factory=list)
    """What the model was asked for, batch by batch."""

    def work(self) -> None:
        """Do all jobs that are ready."""
        from text2song.generation.job import GenerationHandler
        from text2song.generation.tables import KIND
        from text2song.jobs.runner import Pace, Runner

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

    def generate(self, specs: Sequence[GenerationSpec], *, watch: Watch) -> Iterator[RowResult]:
        self.batches.append(list(specs))
        for result in self.model.generate(specs, watch=watch):
            yield self.trouble(self.desk, result) if self.trouble else result


@pytest.fixture(scope="session")
def untrained_model(_models_folder: Path) -> MusicGen:
    from text2song.model.musicgen import MusicGen

    return MusicGen.load(_models_folder / "untrained-noise", capacity=4)


@pytest.fixture
def bench(desk: Desk, untrained_model: MusicGen) -> Bench:
    from text2song.models import service as models

    with desk.studio.work() as work:
        models.announce(work, untrained_model.info, worker="bench", capacity=untrained_model.capacity)
    return Bench(desk, untrained_model)
