"""A seed is a fact: hundreds of random batches, in which no row may sound different for its company."""

import random
from pathlib import Path

import numpy as np
import pytest

from tests.figures import RecordFigure
from text2song.model.musicgen import MusicGen
from text2song.model.noise import build_noise_model
from text2song.model.protocol import GeneratedTake, Progress
from text2song.music.sampling import SamplingParams
from text2song.music.spec import GenerationSpec

BATCHES = 150
CAPACITY = 8


@pytest.mark.proof
@pytest.mark.timeout(1800)
def test_no_row_depends_on_its_company(tmp_path: Path, record_figure: RecordFigure) -> None:
    model = MusicGen.load(build_noise_model(tmp_path / "noise"), capacity=CAPACITY)
    chance = random.Random(11)
    alone: dict[int, bytes] = {}
    rows = same = 0
    for _ in range(BATCHES):
        specs = [_spec(number) for number in chance.sample(range(40), chance.randint(2, CAPACITY))]
        dropped = {row for row in range(len(specs)) if chance.random() < 0.15}
        leaves_at = chance.randint(1, 60)
        for row, codes in _codes(model, specs, dropped=dropped, leaves_at=leaves_at).items():
            seed = specs[row].seed
            if seed not in alone:
                alone[seed] = _codes(model, [_spec(seed)], dropped=set(), leaves_at=0)[0]
            rows += 1
            same += codes == alone[seed]
    record_figure("rows equal to the same row alone", same, f"of {rows}")
    assert same == rows


def _spec(number: int) -> GenerationSpec:
    chance = random.Random(number)
    return GenerationSpec(
        sentence=chance.choice(["a walk", "slow piano, 84 bpm", "drums and bass in the rain at night"]),
        seed=number,
        duration_seconds=chance.choice([0.5, 0.9, 1.7, 2.4]),
        sampling=SamplingParams(
            temperature=chance.choice([0.7, 1.0, 1.3]),
            top_k=chance.choice([0, 50, 250]),
            top_p=chance.choice([0.9, 1.0]),
            guidance_scale=chance.choice([1.0, 3.0, 5.0]),
        ),
    )


def _codes(
    model: MusicGen, specs: list[GenerationSpec], *, dropped: set[int], leaves_at: int
) -> dict[int, bytes]:
    """The codes of the rows that were not dropped, by row."""
    steps = 0

    def watch(progress: Progress) -> set[int]:
        nonlocal steps
        steps += progress.stage == "composing"
        return dropped if steps >= leaves_at else set()

    codes = {}
    for result in model.generate(specs, watch=watch):
        if result.row not in dropped:
            assert isinstance(result.outcome, GeneratedTake), result.outcome
            codes[result.row] = np.ascontiguousarray(result.outcome.codes).tobytes()
    return codes
