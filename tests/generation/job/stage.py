"""A model on a stage: it makes rows as a test tells it to, and remembers what entered and left."""

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tests.benches import Bench
from tests.studios import Desk, noise_info
from text2song.errors import ModelOutputRejected, StudioError
from text2song.model.protocol import Batch, GeneratedTake, ModelInfo, RowProgress, RowResult, Stage
from text2song.music.spec import GenerationSpec
from text2song.sound.waveform import Waveform

FRAME_RATE = 4.0
"""So few that a test sees each step."""
INFO = replace(noise_info(), frame_rate=FRAME_RATE)


def take_of(spec: GenerationSpec) -> GeneratedTake:
    """A function of the specification alone, as of a real model."""
    draw = np.random.default_rng(spec.seed)
    codes = draw.integers(INFO.codebook_size, size=(INFO.codebooks, 2), dtype=np.int16)  # [K, T]
    samples = draw.normal(scale=0.1, size=(1, INFO.sample_rate)).astype(np.float32).clip(-1, 1)
    return GeneratedTake(codes, Waveform(samples, INFO.sample_rate), ())


def rejected(_: GenerationSpec) -> StudioError:
    """An end that leaves nothing to be saved."""
    return ModelOutputRejected("silence")


def when_composed(batch: "StagedBatch") -> Sequence[int]:
    """The rows that have all their frames."""
    return [n for n, spec in batch.specs.items() if batch.frames[n] >= INFO.frames_for(spec.duration_seconds)]


@dataclass
class Doorman:
    """Lets rows end one by one, the oldest first, as often as a test says."""

    _permits: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def let_go(self, rows: int = 1) -> None:
        self._permits.release(rows)

    def __call__(self, batch: "StagedBatch") -> Sequence[int]:
        time.sleep(0.002)
        oldest = next(iter(batch.specs), None)
        return [oldest] if oldest is not None and self._permits.acquire(blocking=False) else []


@dataclass
class StagedModel:
    """A model that keeps its rows until `ends` says that they have their end."""

    capacity: int = 4
    seconds_that_fit: float = math.inf
    """Of audio, of all rows together."""
    ends: Callable[["StagedBatch"], Sequence[int]] = when_composed
    outcome: Callable[[GenerationSpec], GeneratedTake | StudioError] = take_of
    before_each_step: Callable[["StagedBatch"], object] = lambda _: None
    entered: list[GenerationSpec] = field(default_factory=list)
    """In order, of all batches."""
    left: list[GenerationSpec] = field(default_factory=list)
    """Those that were no longer wanted."""

    @property
    def info(self) -> ModelInfo:
        return INFO

    def open_batch(self) -> Batch:
        return StagedBatch(self)


@dataclass
class StagedBatch:
    model: StagedModel
    specs: dict[int, GenerationSpec] = field(default_factory=dict)
    frames: dict[int, int] = field(default_factory=dict)

    @property
    def rows(self) -> Mapping[int, RowProgress]:
        return {n: RowProgress(Stage.COMPOSING, self.frames[n]) for n in self.specs}

    def has_room_for(self, spec: GenerationSpec) -> bool:
        if not self.specs:
            return True
        taken = sum(each.duration_seconds for each in self.specs.values())
        is_within = taken + spec.duration_seconds <= self.model.seconds_that_fit
        return is_within and len(self.specs) < self.model.capacity

    def enter(self, spec: GenerationSpec) -> int:
        if not self.has_room_for(spec):
            raise ValueError("there is no room")
        number = len(self.frames)
        self.specs[number], self.frames[number] = spec, 0
        self.model.entered.append(spec)
        return number

    def leave(self, row: int) -> None:
        spec = self.specs.pop(row, None)
        if spec is not None:
            self.model.left.append(spec)

    def advance(self) -> Sequence[RowResult]:
        self.model.before_each_step(self)
        for number in self.specs:
            self.frames[number] += 1
        ended = self.model.ends(self)
        return [RowResult(number, self.model.outcome(self.specs.pop(number))) for number in ended]


def on_stage(desk: Desk, model: StagedModel) -> Bench:
    """A worker with this model."""
    return Bench(desk, model)


def seeds(specs: Sequence[GenerationSpec]) -> list[int]:
    """By which a test knows its takes."""
    return [spec.seed for spec in specs]


def ask(
    bench: Bench, *, seed: int, seconds: float = 1.0, takes: int = 1, priority: int = 0
) -> dict[str, Any]:
    """A job, known by the seed of its first take."""
    params = {"seed": seed, "duration": seconds}
    return bench.desk.submit(num_samples=takes, generation_params=params, priority=priority)
