import os
import subprocess
import sys
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import MusicgenForConditionalGeneration

from tests.model.playing import SPEC, keep_all, results, takes, with_weights
from text2song.errors import InvalidInput, ModelOutputRejected, ModelUnsupported, OutOfMemory
from text2song.model.decoder import Track
from text2song.model.musicgen import MusicGen
from text2song.model.protocol import GeneratedTake, Progress
from text2song.music.sampling import SamplingParams
from text2song.music.spec import AdapterWeight, GenerationSpec

# --- What it makes ---------------------------------------------------------------------------------


def test_a_take_has_codes_sound_of_the_asked_duration_and_the_tokens_that_were_read(
    noise_folder: Path,
) -> None:
    model = MusicGen.load(noise_folder)
    channels = model.info.channels

    (take,) = takes(model, [replace(SPEC, duration_seconds=1.0)])

    assert take.codes.shape == (4 * channels, 50)
    assert take.codes.dtype == np.int16
    assert 0 <= take.codes.min() <= take.codes.max() < 2048
    assert len(np.unique(take.codes)) > 100  # it composes, it does not repeat itself
    assert take.waveform.pcm.shape == (channels, 32_000)
    assert take.waveform.sample_rate == 32_000
    assert take.token_ids[-1] == 1
    assert len(take.token_ids) == len(SPEC.sentence) + 1


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    "sampling",
    [
        SamplingParams(),
        SamplingParams(guidance_scale=1.0),
        SamplingParams(temperature=0.8, top_k=100, top_p=0.9, guidance_scale=5.5),
    ],
    ids=["defaults", "unguided", "all knobs"],
)
def test_one_row_is_transformers_take_of_the_same_seed_bit_for_bit(
    noise_folder: Path, oracle: MusicgenForConditionalGeneration, sampling: SamplingParams
) -> None:
    model = MusicGen.load(noise_folder, backend="plain")
    (take,) = takes(model, [replace(SPEC, sampling=sampling)])

    ids = torch.tensor([take.token_ids])
    torch.manual_seed(SPEC.seed)
    expected = oracle.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=33,
        do_sample=True,
        temperature=sampling.temperature,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        guidance_scale=sampling.guidance_scale,
    )

    assert np.array_equal(take.waveform.pcm, expected[0].numpy())


def test_seed_sentence_and_sampling_each_change_the_codes(noise: MusicGen) -> None:
    variants = [
        SPEC,
        replace(SPEC, seed=8),
        replace(SPEC, sentence="loud and fast"),
        replace(SPEC, sampling=SamplingParams(guidance_scale=1.0)),
        replace(SPEC, sampling=SamplingParams(temperature=0.5)),
        replace(SPEC, sampling=SamplingParams(top_k=3)),
        replace(SPEC, sampling=SamplingParams(top_p=0.2)),
    ]
    made = {take.codes.tobytes() for take in takes(noise, variants)}
    assert len(made) == len(variants)


def companies() -> list[list[GenerationSpec]]:
    """Batches that SPEC finds itself in: other lengths, guidance, sampling, sentences and places."""
    short = replace(SPEC, seed=1, duration_seconds=0.5, sentence="x")
    long = replace(
        SPEC, seed=2, duration_seconds=1.1, sentence="a much longer sentence, with strings and choir"
    )
    unguided = replace(SPEC, seed=3, sampling=SamplingParams(guidance_scale=1.0))
    odd = replace(
        SPEC, seed=4, sampling=SamplingParams(temperature=2.0, top_k=0, top_p=0.5, guidance_scale=9.0)
    )
    return [
        [SPEC, SPEC],
        [short, SPEC],
        [unguided, long, SPEC],
        [odd, SPEC, short, unguided, long, replace(odd, seed=5)],
        [replace(long, seed=s) for s in range(8)] + [SPEC],
    ]


@pytest.mark.parametrize(
    "spec",
    [SPEC, replace(SPEC, sampling=SamplingParams(guidance_scale=1.0))],
    ids=["guided", "unguided"],
)
def test_codes_and_sound_are_the_same_bits_alone_and_in_any_company(
    noise: MusicGen, spec: GenerationSpec
) -> None:
    (alone,) = takes(noise, [spec])
    for company in companies():
        specs = [spec if other == SPEC else other for other in company]
        take = takes(noise, specs)[specs.index(spec)]
        assert np.array_equal(take.codes, alone.codes)
        assert np.array_equal(take.waveform.pcm, alone.waveform.pcm)


@pytest.mark.parametrize(
    ("given", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")], ids=["by itself", "where one was given"]
)
def test_threads_that_wait_sleep_unless_the_environment_says_otherwise(
    given: str | None, expected: str
) -> None:
    others = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    program = "import sys, os, text2song.model; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", program],
        env=others if given is None else {**others, "OMP_WAIT_POLICY": given},
        capture_output=True,
        text=True,
        check=True,
    )
    # Torch reads it once, at its import: this must be there before.
    assert told.stdout.split() == [expected, "False"]


# --- Progress, dropping, order -----------------------------------------------------------------------


def test_short_rows_are_yielded_while_long_ones_go_on(noise: MusicGen) -> None:
    specs = [replace(SPEC, duration_seconds=d) for d in (1.2, 0.5, 0.8)]
    seen: list[Progress] = []

    def watch(progress: Progress) -> Collection[int]:
        seen.append(progress)
        return ()

    order = []
    for result in noise.generate(specs, watch=watch):
        order.append(result.row)
        assert seen[-1].frames[result.row] == (60, 25, 40)[result.row]
        if result.row == 1:
            assert seen[-1].frames[0] < 60

    assert order == [1, 2, 0]


def test_progress_is_told_at_every_frame_and_around_every_rendering(noise: MusicGen) -> None:
    seen: list[Progress] = []

    def watch(progress: Progress) -> Collection[int]:
        seen.append(progress)
        return ()

    list(noise.generate([SPEC], watch=watch))

    assert [p.frames[0] for p in seen if p.stage == "composing"] == [0, 0, 0, 0, *range(30)]
    assert [p.frames for p in seen if p.stage == "rendering"] == [(30,), (30,)]
    assert [p.stage for p in seen] == ["composing"] * 34 + ["rendering"] * 2


def drop(row: int, *, when: Callable[[Progress], bool]) -> Callable[[Progress], Collection[int]]:
    return lambda progress: (row,) if when(progress) else ()


@pytest.mark.parametrize(
    "when",
    [
        lambda _: True,
        lambda p: p.frames[1] == 10,
        lambda p: p.stage == "rendering",
    ],
    ids=["at once", "midway", "while something is rendered"],
)
def test_a_dropped_row_is_never_yielded_and_its_siblings_are_unharmed(
    noise: MusicGen, when: Callable[[Progress], bool]
) -> None:
    specs = [SPEC, replace(SPEC, seed=8), replace(SPEC, seed=9, duration_seconds=1.0)]
    undisturbed = takes(noise, specs)

    left = {r.row: r.outcome for r in noise.generate(specs, watch=drop(1, when=when))}

    assert sorted(left) == [0, 2]
    for row in (0, 2):
        outcome = left[row]
        assert isinstance(outcome, GeneratedTake)
        assert np.array_equal(outcome.codes, undisturbed[row].codes)
        assert np.array_equal(outcome.waveform.pcm, undisturbed[row].waveform.pcm)


def test_the_sentences_of_dropped_rows_are_not_read(noise: MusicGen) -> None:
    specs = [replace(SPEC, sentence=f"never read {number}") for number in range(3)]
    calls = 0

    def watch(_: Progress) -> Collection[int]:
        nonlocal calls
        calls += 1
        return (0, 1, 2) if calls == 2 else ()

    assert list(noise.generate(specs, watch=watch)) == []
    assert [spec.sentence in noise._reader._kept for spec in specs] == [True, False, False]


def test_dropping_every_row_ends_the_batch_at_that_frame(noise: MusicGen) -> None:
    told: list[Progress] = []

    def watch(progress: Progress) -> Collection[int]:
        told.append(progress)
        return (0, 1) if progress.frames[0] == 5 else ()

    assert list(noise.generate([SPEC, SPEC], watch=watch)) == []
    assert told[-1].frames == (5, 5)


def test_a_row_dropped_while_it_is_rendered_is_not_yielded(noise: MusicGen) -> None:
    rendering = 0

    def watch(progress: Progress) -> Collection[int]:
        nonlocal rendering
        rendering += progress.stage == "rendering"
        return (0,) if rendering == 2 else ()

    assert list(noise.generate([SPEC], watch=watch)) == []


def test_a_batch_that_is_abandoned_or_broken_off_leaves_the_next_one_unharmed(noise: MusicGen) -> None:
    (expected,) = takes(noise, [SPEC])
    next(noise.generate([SPEC, replace(SPEC, duration_seconds=1.0)], watch=keep_all))

    def fail(progress: Progress) -> Collection[int]:
        if progress.frames[0] == 3:
            raise KeyboardInterrupt
        return ()

    with pytest.raises(KeyboardInterrupt):
        list(noise.generate([SPEC], watch=fail))

    assert np.array_equal(takes(noise, [SPEC])[0].codes, expected.codes)


def test_the_caller_is_not_left_in_inference_mode(noise: MusicGen) -> None:
    modes = []

    def watch(_: Progress) -> Collection[int]:
        modes.append(torch.is_inference_mode_enabled())
        return ()

    modes.extend(torch.is_inference_mode_enabled() for _ in noise.generate([SPEC], watch=watch))
    assert not any(modes)


# --- What it refuses ----------------------------------------------------------------------------------


def test_a_row_that_cannot_be_is_its_own_outcome_and_leaves_the_others_alone(noise: MusicGen) -> None:
    specs = [
        replace(SPEC, duration_seconds=30.5),
        SPEC,
        replace(SPEC, adapters=(AdapterWeight("0" * 64),)),
    ]
    outcomes = results(noise, specs)

    assert isinstance(outcomes[0], InvalidInput)
    assert outcomes[0].field == "duration"
    assert "at most 30" in outcomes[0].message
    assert isinstance(outcomes[1], GeneratedTake)
    assert isinstance(outcomes[2], ModelUnsupported)


def test_more_rows_than_the_capacity_are_a_programming_error(mono_folder: Path) -> None:
    model = MusicGen.load(mono_folder, capacity=2)
    assert model.capacity == 2
    with pytest.raises(ValueError, match="capacity of 2"):
        model.generate([SPEC] * 3, watch=keep_all)


LAST_GAIN = "audio_encoder.decoder.layers.15.conv.parametrizations.weight.original0"


def multiplied(folder: Path, to: Path, *, tensor: str, factor: float) -> Path:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors[tensor] *= factor

    return with_weights(folder, to, change)


@pytest.mark.parametrize(
    ("tensor", "factor", "words"),
    [
        (LAST_GAIN, 1e-5, "silence"),
        (LAST_GAIN, 40.0, "clipped"),
        (LAST_GAIN, float("nan"), "broken"),
        ("decoder.lm_heads.1.weight", float("inf"), "overflowed"),
    ],
)
def test_output_that_is_no_sound_is_that_rows_failure(
    mono_folder: Path, tmp_path: Path, tensor: str, factor: float, words: str
) -> None:
    model = MusicGen.load(multiplied(mono_folder, tmp_path / "bad", tensor=tensor, factor=factor))
    outcomes = results(model, [SPEC, SPEC])
    assert {type(outcome) for outcome in outcomes.values()} == {ModelOutputRejected}
    assert all(words in str(outcome) for outcome in outcomes.values())


def test_peaks_over_full_scale_are_brought_down_not_cut(mono_folder: Path, tmp_path: Path) -> None:
    (expected,) = takes(MusicGen.load(mono_folder), [SPEC])
    factor = 1.05 / np.abs(expected.waveform.pcm).max()
    loud = MusicGen.load(multiplied(mono_folder, tmp_path / "loud", tensor=LAST_GAIN, factor=float(factor)))

    (take,) = takes(loud, [SPEC])

    assert np.array_equal(take.codes, expected.codes)
    assert np.abs(take.waveform.pcm).max() == pytest.approx(10 ** (-1 / 20), rel=1e-5)
    correlation = np.corrcoef(take.waveform.pcm[0], expected.waveform.pcm[0])[0, 1]
    assert correlation > 0.9999


def test_a_batch_that_does_not_fit_into_memory_says_so(
    noise: MusicGen, monkeypatch: pytest.MonkeyPatch
) -> None:
    def grow(*_: object, **__: object) -> tuple[torch.Tensor, ...]:
        return (torch.empty(2**50),)

    monkeypatch.setattr(noise._decoder, "step", grow)
    with pytest.raises(OutOfMemory, match="fewer or shorter takes"):
        list(noise.generate([SPEC], watch=keep_all))


def test_a_row_whose_memory_does_not_fit_is_its_own_outcome(
    noise: MusicGen, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_track = noise._decoder.open_track

    def grow(text: torch.Tensor, *, steps: int, is_guided: bool) -> Track:
        if steps > 40:
            torch.empty(2**50)
        return open_track(text, steps=steps, is_guided=is_guided)

    monkeypatch.setattr(noise._decoder, "open_track", grow)
    outcomes = results(noise, [SPEC, replace(SPEC, duration_seconds=1.0)])
    assert isinstance(outcomes[0], GeneratedTake)
    assert isinstance(outcomes[1], OutOfMemory)
