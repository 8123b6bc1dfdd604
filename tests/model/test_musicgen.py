import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch
from transformers import MusicgenForConditionalGeneration

from tests.model.playing import SPEC, results, takes, with_weights
from text2song.errors import InvalidInput, ModelOutputRejected, ModelUnsupported, OutOfMemory
from text2song.model import musicgen
from text2song.model.configuration import read_configuration
from text2song.model.footprint import footprint_of
from text2song.model.musicgen import MusicGen
from text2song.model.protocol import GeneratedTake
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
    model = MusicGen.load(noise_folder, is_oracle=True)
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


# --- What it refuses ----------------------------------------------------------------------------------


def test_a_row_that_cannot_be_is_its_own_outcome_and_leaves_the_others_alone(noise: MusicGen) -> None:
    specs = [
        replace(SPEC, duration_seconds=300.0, sentence="x " * 3000),
        SPEC,
        replace(SPEC, adapters=(AdapterWeight("0" * 64),)),
    ]
    outcomes = results(noise, specs)

    assert isinstance(outcomes[0], InvalidInput)
    assert outcomes[0].field == "sentence"
    assert isinstance(outcomes[1], GeneratedTake)
    assert isinstance(outcomes[2], ModelUnsupported)


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
        ("decoder.lm_heads.1.weight", float("nan"), "overflowed"),
        ("decoder.model.decoder.layers.1.fc2.weight", float("nan"), "overflowed"),
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


# --- Takes longer than a window -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def short_sighted(mono_folder: Path) -> MusicGen:
    """Sees 0.8 s at once, of which the next window keeps 0.4."""
    model = MusicGen.load(mono_folder)
    model._parts = replace(model._parts, window_frames=40, kept_frames=20)
    return model


@pytest.mark.usefixtures("one_thread")
def test_the_second_window_is_what_transformers_makes_of_the_first_ones_end(
    mono_folder: Path, tmp_path: Path
) -> None:
    """transformers goes on from a prompt of codes; its draws begin anew, so ours are made to, too."""
    folder = with_weights(mono_folder, tmp_path / "mono", lambda tensors: tensors)
    theirs = MusicgenForConditionalGeneration.from_pretrained(folder)
    theirs.train(mode=False)
    model = MusicGen.load(folder, is_oracle=True)
    model._parts = replace(model._parts, window_frames=40, kept_frames=20)
    greedy = SamplingParams(top_k=1)
    (take,) = takes(model, [replace(SPEC, duration_seconds=1.2, sampling=greedy)])

    ids = torch.tensor([take.token_ids])
    kept = torch.tensor(take.codes[:, 20:40].astype(np.int64))
    start = torch.full((4, 1), 2048)
    made = theirs.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        decoder_input_ids=torch.cat([start, kept], 1),
        max_new_tokens=20 + 3,
        do_sample=False,
        guidance_scale=3.0,
    )
    sound = model._parts.codec.decode(torch.tensor(take.codes[:, 20:60].astype(np.int64)))
    assert made.shape[-1] == sound.pcm.shape[-1]
    assert np.abs(made[0].numpy() - sound.pcm).max() < 1e-5


def test_a_long_take_is_the_same_bits_alone_and_in_company(short_sighted: MusicGen) -> None:
    long = replace(SPEC, duration_seconds=1.9)
    (alone,) = takes(short_sighted, [long])
    assert alone.codes.shape == (4, 95)
    assert alone.waveform.pcm.shape == (1, 95 * 640)
    company = [
        replace(SPEC, seed=3),
        replace(SPEC, seed=4, duration_seconds=2.5),
        long,
        replace(long, seed=5),
    ]
    assert np.array_equal(takes(short_sighted, company)[2].codes, alone.codes)


def test_a_long_take_begins_as_a_short_one_and_remembers_it(short_sighted: MusicGen) -> None:
    (short,) = takes(short_sighted, [replace(SPEC, duration_seconds=0.8)])
    (long,) = takes(short_sighted, [replace(SPEC, duration_seconds=1.2)])
    assert np.array_equal(long.codes[:, :40], short.codes)
    assert short_sighted.info.max_duration_seconds == 300.0


# --- Other numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_other_numbers_make_takes_that_are_the_same_bits_in_any_company(
    mono_folder: Path, dtype: str
) -> None:
    model = MusicGen.load(mono_folder, dtype=dtype, capacity=16)
    assert model.info.dtype == dtype
    (alone,) = takes(model, [SPEC])
    for company in companies():
        specs = [SPEC if other == SPEC else other for other in company]
        take = takes(model, specs)[specs.index(SPEC)]
        assert np.array_equal(take.codes, alone.codes)


# --- What it may take ---------------------------------------------------------------------------------


def needed(folder: Path, *, rows: int, dtype: str = "float32") -> int:
    """A limit within which so many ordinary rows fit, and not one more."""
    found = footprint_of(read_configuration(folder), dtype=dtype)
    return found.weights_bytes + found.rendering_bytes + rows * found.row_bytes


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_a_batch_has_room_for_the_rows_that_fit_within_the_limit(mono_folder: Path, dtype: str) -> None:
    limit = needed(mono_folder, rows=3, dtype=dtype)
    assert MusicGen.load(mono_folder, dtype=dtype, capacity=2, memory_limit_bytes=limit).capacity == 2
    model = MusicGen.load(mono_folder, dtype=dtype, capacity=8, memory_limit_bytes=limit)
    assert model.capacity == 3
    long = replace(SPEC, duration_seconds=30.0)
    batch = model.open_batch()
    while batch.has_room_for(long):
        batch.enter(long)
    assert len(batch.rows) == 3


def test_a_longer_sentence_takes_its_share_of_the_limit(mono_folder: Path) -> None:
    model = MusicGen.load(mono_folder, capacity=8, memory_limit_bytes=needed(mono_folder, rows=2))
    wordy = replace(SPEC, duration_seconds=30.0, sentence="words " * 50)
    batch = model.open_batch()
    batch.enter(wordy)
    assert not batch.has_room_for(wordy)


def test_where_no_ordinary_row_fits_one_is_tried_all_the_same(mono_folder: Path) -> None:
    model = MusicGen.load(mono_folder, capacity=8, memory_limit_bytes=needed(mono_folder, rows=0))
    assert model.capacity == 1
    assert len(takes(model, [SPEC, SPEC])) == 2


def test_weights_beyond_the_limit_are_refused_before_any_is_read(
    mono_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copytree(mono_folder, tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"never read")
    with pytest.raises(
        OutOfMemory, match=r"model take 6\.0 MB in float32; TEXT2SONG_MEMORY_LIMIT allows 1\.0 MB"
    ):
        MusicGen.load(tmp_path / "model", memory_limit_bytes=1_000_000)
    monkeypatch.setattr(musicgen, "free_on", lambda _: 5_000_000)
    with pytest.raises(OutOfMemory, match=r"of what is free, a model may take 4\.0 MB.*close other programs"):
        MusicGen.load(tmp_path / "model")


def test_without_a_limit_what_the_device_has_free_decides(
    mono_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = needed(mono_folder, rows=2)
    monkeypatch.setattr(musicgen, "free_on", lambda _: limit * 5 // 4 + 1000)
    assert MusicGen.load(mono_folder, capacity=8).capacity == 2
    monkeypatch.setattr(musicgen, "free_on", lambda _: None)
    assert MusicGen.load(mono_folder, capacity=8).capacity == 8
