from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.model.adapters import random_factors
from tests.model.playing import SPEC, results, takes
from text2song.errors import ModelUnsupported
from text2song.model.batch import RowBatch
from text2song.model.musicgen import MusicGen
from text2song.model.protocol import GeneratedTake, RowResult
from text2song.model.rack import KEPT_SETS
from text2song.model.room import Room
from text2song.music.spec import AdapterWeight, GenerationSpec

WARM, COLD = (AdapterWeight(letter * 64) for letter in "ac")


@pytest.fixture(scope="module")
def model(mono_folder: Path) -> MusicGen:
    model = MusicGen.load(mono_folder, capacity=16)
    for rank, adapter in enumerate((WARM, COLD), start=2):
        factors = random_factors(model.info.module_shapes, rank=rank, seed=rank, strength=0.3)
        model.adapters.add(adapter.digest, factors)
    return model


def test_the_bare_model_has_no_updates_and_a_set_is_laid_out_once(model: MusicGen) -> None:
    assert model.adapters.updates_for(()) is None
    first = model.adapters.updates_for((WARM, COLD))
    assert first is model.adapters.updates_for([WARM, COLD])
    assert first is not model.adapters.updates_for((COLD, WARM))


def test_only_the_sets_that_were_asked_for_last_are_kept(model: MusicGen) -> None:
    first = model.adapters.updates_for((WARM,))
    for number in range(KEPT_SETS - 1):
        model.adapters.updates_for((replace(WARM, weight=0.1 + number / 100),))
    assert model.adapters.updates_for((WARM,)) is first
    for number in range(KEPT_SETS):
        model.adapters.updates_for((replace(WARM, weight=0.5 + number / 100),))
    assert model.adapters.updates_for((WARM,)) is not first


def test_adapters_and_the_sets_that_rows_use_count_against_the_rows_memory(mono_folder: Path) -> None:
    """And sets that nobody uses are let go of before they would exceed it."""
    model = MusicGen.load(mono_folder)
    for rank, adapter in enumerate((WARM, COLD), start=2):
        model.adapters.add(adapter.digest, random_factors(model.info.module_shapes, rank=rank, seed=rank))
    rack, (warm, cold) = model.adapters, (replace(SPEC, adapters=(each,)) for each in (WARM, COLD))
    sizes = [rack.set_bytes(spec.adapters) for spec in (warm, cold)]
    assert sizes[1] * 2 == sizes[0] * 3
    assert rack.held_bytes == sum(sizes)
    row = RowBatch(model._parts)._bytes_of(SPEC)

    def batch(budget_bytes: int) -> RowBatch:
        return RowBatch(replace(model._parts, room=Room(rows=8, budget_bytes=budget_bytes)))

    for short, is_held in ((0, True), (1, False)):
        two_of_one_set = batch(2 * row + rack.held_bytes + sizes[0] - short)
        two_of_one_set.enter(warm)
        assert two_of_one_set.has_room_for(warm) == is_held
        assert not two_of_one_set.has_room_for(cold)
        two_sets = batch(2 * row + rack.held_bytes + sum(sizes) - short)
        two_sets.enter(warm)
        assert two_sets.has_room_for(cold) == is_held

    for budget, is_kept in ((10**12, True), (row + rack.held_bytes + sum(sizes) - 1, False)):
        first = rack.updates_for(warm.adapters)
        one_by_one = batch(budget)
        assert [isinstance(r.outcome, GeneratedTake) for r in play_in(one_by_one, [cold])] == [True]
        assert (rack.updates_for(warm.adapters) is first) == is_kept


def play_in(batch: RowBatch, specs: list[GenerationSpec]) -> list[RowResult]:
    for spec in specs:
        batch.enter(spec)
    found: list[RowResult] = []
    while batch.rows:
        found += batch.advance()
    return found


def test_takes_with_and_without_adapters_are_each_what_they_are_alone(
    model: MusicGen, mono_folder: Path
) -> None:
    sides = [(), (WARM,), (COLD,), (WARM, replace(COLD, weight=-0.5)), (replace(WARM, weight=0.2),)]
    specs = [replace(SPEC, adapters=side) for side in sides]
    together = takes(model, [*specs, *specs])
    codes = [take.codes.tobytes() for take in together]
    assert codes[: len(sides)] == codes[len(sides) :]
    assert len(set(codes)) == len(sides)
    for spec, take in zip(specs, together, strict=False):
        assert np.array_equal(takes(model, [spec])[0].codes, take.codes)
    never_had_any = MusicGen.load(mono_folder)
    assert np.array_equal(takes(never_had_any, [SPEC])[0].codes, together[0].codes)


def test_an_adapter_that_is_not_here_is_that_rows_refusal(model: MusicGen) -> None:
    outcomes = results(model, [replace(SPEC, adapters=(AdapterWeight("e" * 64),)), SPEC])
    assert isinstance(outcomes[0], ModelUnsupported)
    assert "eeeeeeeeeeee" in outcomes[0].message
    assert isinstance(outcomes[1], GeneratedTake)


def test_an_adapter_that_was_removed_is_gone_from_every_set(mono_folder: Path) -> None:
    model = MusicGen.load(mono_folder)
    model.adapters.add(WARM.digest, random_factors(model.info.module_shapes, rank=1, seed=1))
    (before,) = takes(model, [replace(SPEC, adapters=(WARM,))])
    model.adapters.remove(WARM.digest)
    with pytest.raises(ModelUnsupported):
        model.adapters.updates_for((WARM,))
    model.adapters.add(WARM.digest, random_factors(model.info.module_shapes, rank=1, seed=9, strength=0.5))
    (after,) = takes(model, [replace(SPEC, adapters=(WARM,))])
    assert not np.array_equal(before.codes, after.codes)


def test_an_adapter_for_another_model_is_refused_when_it_is_added(model: MusicGen) -> None:
    with pytest.raises(ModelUnsupported, match="another size"):
        model.adapters.add(
            "f" * 64, random_factors({"decoder.model.decoder.layers.0.fc1": (7, 64)}, rank=1, seed=1)
        )
