"""`text2song`, on a stage: a clock that a test sets, and a model whose every step takes the same time.

    STAGED_CLOCK=FILE STAGED_STEP_SECONDS=0.02 python -m tests.e2e.staged worker

The file says by how many seconds the machine's clock runs ahead; without it, it is right. It is the one that
a studio is given: leases, claims, turns and rows go by no other. All else is the program as it is.
"""

import datetime as dt
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from text2song import studio
from text2song.cli import __main__ as program
from text2song.model.protocol import Batch, GeneratedTake, ModelInfo, RowProgress, RowResult, Stage
from text2song.music.spec import GenerationSpec
from text2song.sound.waveform import Waveform


def main() -> None:
    """Set the stage, and run the program."""
    if clock := os.environ.get("STAGED_CLOCK"):
        _stage_clock(Path(clock))
    if step_seconds := os.environ.get("STAGED_STEP_SECONDS"):
        _stage_model(float(step_seconds))
    sys.argv[0] = "text2song"
    program.main()


def _stage_clock(file: Path) -> None:
    right = studio.utc_now

    def now() -> dt.datetime:
        ahead_seconds = 0.0
        with suppress(FileNotFoundError):
            ahead_seconds = float(file.read_text())
        return right() + dt.timedelta(seconds=ahead_seconds)

    vars(studio)["utc_now"] = now


def _stage_model(step_seconds: float) -> None:
    from text2song.model.musicgen import MusicGen
    from text2song.worker import handlers

    class Staged(MusicGen):
        """The untrained model, but that its steps sleep: two of them need no two processors."""

        def open_batch(self) -> Batch:  # type: ignore[override]  # any will do
            return Steady(self.info, capacity=self.capacity, step_seconds=step_seconds)

    vars(handlers)["MusicGen"] = Staged


@dataclass
class Steady:
    """All rows at the same time, a frame of each after every `step_seconds` as the clock has it."""

    info: ModelInfo
    capacity: int
    step_seconds: float
    specs: dict[int, GenerationSpec] = field(default_factory=dict)
    frames: dict[int, int] = field(default_factory=dict)
    next_at: float = 0.0

    @property
    def rows(self) -> Mapping[int, RowProgress]:
        return {number: RowProgress(Stage.COMPOSING, self.frames[number]) for number in self.specs}

    def has_room_for(self, spec: GenerationSpec) -> bool:
        del spec
        return len(self.specs) < self.capacity

    def enter(self, spec: GenerationSpec) -> int:
        if not self.specs:
            self.next_at = time.monotonic()
        number = len(self.frames)
        self.specs[number], self.frames[number] = spec, 0
        return number

    def leave(self, row: int) -> None:
        self.specs.pop(row, None)

    def advance(self) -> Sequence[RowResult]:
        self.next_at += self.step_seconds
        time.sleep(max(0.0, self.next_at - time.monotonic()))
        for number in self.specs:
            self.frames[number] += 1
        totals = {n: self.info.frames_for(spec.duration_seconds) for n, spec in self.specs.items()}
        ended = [number for number, total in totals.items() if self.frames[number] >= total]
        return [RowResult(n, _take(self.info, self.specs.pop(n), frames=totals[n])) for n in ended]


def _take(info: ModelInfo, spec: GenerationSpec, *, frames: int) -> GeneratedTake:
    """A function of the specification alone, as of a real model."""
    draw = np.random.default_rng(spec.seed)
    codes = draw.integers(info.codebook_size, size=(info.codebooks, frames), dtype=np.int16)  # [K, T]
    samples = draw.normal(scale=0.1, size=(info.channels, round(frames * info.sample_rate / info.frame_rate)))
    return GeneratedTake(codes, Waveform(samples.astype(np.float32).clip(-1, 1), info.sample_rate), ())


if __name__ == "__main__":
    main()
