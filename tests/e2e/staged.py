"""`text2song`, on a stage: a clock that a test sets, and a model whose every step takes the same time.

    STAGED_CLOCK=FILE STAGED_STEP_SECONDS=0.02 python -m tests.e2e.staged worker

The file says by how many seconds the machine's clock runs ahead; without it, it is right. It is the one that
a studio is given: leases, claims, turns and rows go by no other. All else is the program as it is.
"""

import datetime as dt
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from text2song import studio
from text2song.cli import __main__ as program
from text2song.model.protocol import GeneratedTake, ModelInfo, Progress, RowResult, Watch
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

        def generate(self, specs: Sequence[GenerationSpec], *, watch: Watch) -> Iterator[RowResult]:
            return _steady(self.info, specs, watch=watch, step_seconds=step_seconds)

    vars(handlers)["MusicGen"] = Staged


def _steady(
    info: ModelInfo, specs: Sequence[GenerationSpec], *, watch: Watch, step_seconds: float
) -> Iterator[RowResult]:
    """All rows at the same time, each frame after `step_seconds` as the clock has it, not after the last."""
    frames = [info.frames_for(spec.duration_seconds) for spec in specs]
    began = time.monotonic()
    unwanted: set[int] = set()
    for step in range(1, max(frames) + 1):
        time.sleep(max(0.0, began + step * step_seconds - time.monotonic()))
        unwanted |= set(watch(Progress("composing", tuple(min(step, total) for total in frames))))
        if len(unwanted) == len(specs):
            return
    for row, spec in enumerate(specs):
        if row not in unwanted:
            yield RowResult(row, _take(info, spec, frames=frames[row]))


def _take(info: ModelInfo, spec: GenerationSpec, *, frames: int) -> GeneratedTake:
    """A function of the specification alone, as of a real model."""
    draw = np.random.default_rng(spec.seed)
    codes = draw.integers(info.codebook_size, size=(info.codebooks, frames), dtype=np.int16)  # [K, T]
    samples = draw.normal(scale=0.1, size=(info.channels, round(frames * info.sample_rate / info.frame_rate)))
    return GeneratedTake(codes, Waveform(samples.astype(np.float32).clip(-1, 1), info.sample_rate), ())


if __name__ == "__main__":
    main()
