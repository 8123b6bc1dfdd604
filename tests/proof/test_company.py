"""A seed is a fact: hundreds of random batches, in which no row may sound different for its company.

Rows enter late, leave early, are guided or not, short or of several windows, with adapters or without.
"""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.figures import RecordFigure
from tests.model.adapters import random_factors
from text2song.model.musicgen import MusicGen
from text2song.model.noise import build_noise_model
from text2song.model.protocol import GeneratedTake
from text2song.music.sampling import SamplingParams
from text2song.music.spec import AdapterWeight, GenerationSpec

ROWS = 1000
CAPACITY = 8
ADAPTERS = tuple(AdapterWeight(letter * 64) for letter in "abcd")


@pytest.mark.proof
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_no_row_depends_on_its_company(tmp_path: Path, record_figure: RecordFigure, dtype: str) -> None:
    model = loaded(tmp_path, dtype)
    chance = random.Random(11)
    alone: dict[int, bytes] = {}
    rows = same = 0
    while rows < ROWS:
        numbers = [chance.randrange(60) for _ in range(chance.randint(2, 2 * CAPACITY))]
        for number, codes in in_company(model, numbers, chance):
            if number not in alone:
                ((_, alone[number]),) = in_company(model, [number], random.Random(0), may_leave=False)
            rows += 1
            same += codes == alone[number]
    record_figure(f"rows equal to the same row alone, {dtype}", same, f"of {rows}")
    assert same == rows


def test_some_rows_do_not_depend_on_their_company(tmp_path: Path) -> None:
    """The short form."""
    model = loaded(tmp_path, "bfloat16")
    numbers = [3, 14, 15, 9, 26, 5, 35, 8, 3]
    for number, codes in in_company(model, numbers, random.Random(2)):
        ((_, alone),) = in_company(model, [number], random.Random(0), may_leave=False)
        assert codes == alone


def loaded(folder: Path, dtype: str) -> MusicGen:
    """The untrained model with four adapters and eyes for 1.2 s at once, of which a window keeps 0.5."""
    model = MusicGen.load(build_noise_model(folder / "noise"), dtype=dtype, capacity=CAPACITY)
    model._parts = replace(model._parts, window_frames=60, kept_frames=25)
    for number, adapter in enumerate(ADAPTERS):
        factors = random_factors(model.info.module_shapes, rank=1 + 3 * number, seed=number, strength=0.2)
        model.adapters.add(adapter.digest, factors)
    return model


def spec(number: int) -> GenerationSpec:
    chance = random.Random(number)
    return GenerationSpec(
        sentence=chance.choice(["a walk", "slow piano, 84 bpm", "drums and bass in the rain at night"]),
        seed=number,
        duration_seconds=chance.choice([0.5, 0.9, 1.1, 1.7, 2.4]),
        sampling=SamplingParams(
            temperature=chance.choice([0.7, 1.0, 1.3]),
            top_k=chance.choice([0, 50, 250]),
            top_p=chance.choice([0.9, 1.0]),
            guidance_scale=chance.choice([1.0, 3.0, 5.0]),
        ),
        adapters=chance.choice(
            [(), (), ADAPTERS[:1], ADAPTERS[1:2], ADAPTERS[2:], (ADAPTERS[0], ADAPTERS[3])]
        ),
    )


def in_company(
    model: MusicGen, numbers: list[int], chance: random.Random, *, may_leave: bool = True
) -> list[tuple[int, bytes]]:
    """The codes of the rows of these numbers that came to their end, as they entered and left by chance."""
    batch = model.open_batch()
    waiting, entered, codes = list(numbers), dict[int, int](), list[tuple[int, bytes]]()
    while waiting or batch.rows:
        while waiting and batch.has_room_for(spec(waiting[-1])) and (not batch.rows or chance.random() < 0.1):
            number = waiting.pop()
            entered[batch.enter(spec(number))] = number
        if may_leave and batch.rows and chance.random() < 0.002:
            batch.leave(chance.choice(list(batch.rows)))
        for result in batch.advance():
            assert isinstance(result.outcome, GeneratedTake), result.outcome
            codes.append((entered[result.row], np.ascontiguousarray(result.outcome.codes).tobytes()))
    return codes
