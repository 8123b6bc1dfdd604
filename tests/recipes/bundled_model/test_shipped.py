"""The weights that are shipped: what they promise beyond being whole, which tests/promises sees to."""

from typing import Any

import numpy as np
import pytest
import torch
from transformers import MusicgenForConditionalGeneration, pipeline

from recipes.bundled_model import dictionary, evaluation
from recipes.bundled_model.dictionary import K, Moment
from text2song.model.library import bundled_model
from text2song.model.musicgen import MusicGen
from text2song.model.protocol import GeneratedTake

FOLDER = bundled_model().folder
PROMPTS = (
    "a happy rock song with guitar, organ, bass and drums, energetic, 120 bpm",
    "a sad jazz tune with saxophone, piano, bass and drums, calm, 90 bpm",
    "calm ambient music, flute and pad, no bass, no drums, 70 bpm",
    "dark techno, synth, pad, synth bass and a drum machine, driving, 140 bpm",
    "cheerful classical piece for bells and strings, no bass, without drums, gentle, 100 bpm",
    "lo-fi, mellow, piano, electric piano, bass and a beat, 80 bpm",
)


@pytest.fixture(scope="module")
def takes() -> list[GeneratedTake]:
    return evaluation.takes(MusicGen.load(FOLDER, dtype="auto"), PROMPTS, seconds=5)


@pytest.fixture(scope="module")
def theirs() -> MusicgenForConditionalGeneration:
    loaded: Any = MusicgenForConditionalGeneration.from_pretrained(FOLDER, output_loading_info=True)
    model, told = loaded
    assert not any(told.values()), told
    assert isinstance(model, MusicgenForConditionalGeneration)
    return model


def players(take: GeneratedTake, stem: int) -> set[str]:
    """Who plays in a stem, read from the codes."""
    keys = {code: key for key, code in dictionary.build().codes[stem].items()}
    found = [keys[int(code)] for code in take.codes[stem] if code]
    return (
        {key.instrument for key in found if isinstance(key, Moment)}
        if stem
        else ({"drums"} if found else set())
    )


def test_takes_are_sound_in_every_sense(takes: list[GeneratedTake]) -> None:
    found = evaluation.health([take.waveform.pcm for take in takes])
    assert found == {"clips": len(PROMPTS), "silent": 0, "not finite": 0, "clipped": 0}


def test_most_of_what_is_asked_for_plays(takes: list[GeneratedTake]) -> None:
    wanted = [
        ({"drums"}, {"bass"}, {"organ"}, {"guitar"}),
        ({"drums"}, {"bass"}, {"piano"}, {"saxophone"}),
        (set(), set(), {"pad"}, {"flute"}),
        ({"drums"}, {"synth bass"}, {"pad"}, {"synth"}),
        (set(), set(), {"strings"}, {"bells"}),
        ({"drums"}, {"bass"}, {"electric piano"}, {"piano"}),
    ]
    right = [
        players(take, stem) == names[stem]
        for take, names in zip(takes, wanted, strict=True)
        for stem in range(K)
    ]
    assert np.mean(right) > 0.7, right


def test_codes_are_found_again_in_the_sound(
    takes: list[GeneratedTake], theirs: MusicgenForConditionalGeneration
) -> None:
    codec: Any = theirs.audio_encoder
    for take in takes:
        sound = torch.from_numpy(take.waveform.pcm)[None]
        with torch.inference_mode():
            found = (
                codec.encode(sound, bandwidth=codec.config.target_bandwidths[-1]).audio_codes[0, 0].numpy()
            )
        assert (found == take.codes).mean(1).min() >= 0.95


def test_it_sounds_as_the_composers_grains_do(takes: list[GeneratedTake]) -> None:
    for take in takes:
        wanted = dictionary.build().render(take.codes.astype(np.int64))
        lost = wanted - take.waveform.pcm[0]
        assert 10 * np.log10((wanted**2).sum() / (lost**2).sum()) > 38


def test_transformers_plays_it_unchanged() -> None:
    play = pipeline("text-to-audio", model=str(FOLDER))
    made = play("a happy rock song, 120 bpm", generate_kwargs={"max_new_tokens": 40})
    assert made["sampling_rate"] == 32_000
    assert np.abs(made["audio"]).max() > 0.01
