from random import Random
from typing import Any

import numpy as np
import pytest
import torch

from recipes.bundled_model import codec, dictionary, scoring
from recipes.bundled_model.dictionary import CODES, K
from recipes.bundled_model.scoring import Codes
from tests.recipes.bundled_model.songs import some_songs

Codec = Any  # transformers' types of what it encodes and decodes are not those of what it does
BOOK = dictionary.build()
SONGS = [scoring.perform(song, Random(1), frames=120) for song in some_songs(8)]


@pytest.fixture(scope="module")
def model() -> Codec:
    return codec.build(BOOK, codec.uses_in_songs(BOOK, count=150))


def heard(model: Codec, codes: Codes) -> torch.Tensor:
    with torch.inference_mode():
        sound: torch.Tensor = model.decode(torch.from_numpy(codes)[None, None], [None])[0]
    return sound


def found(model: Codec, sound: torch.Tensor) -> Codes:
    bandwidth = codec.configuration().target_bandwidths[-1]
    with torch.inference_mode():
        codes: Codes = model.encode(sound, bandwidth=bandwidth).audio_codes[0, 0].numpy()
    return codes


@pytest.mark.parametrize("song", range(len(SONGS)))
def test_it_sounds_as_the_grains_do(model: Codec, song: int) -> None:
    wanted = BOOK.render(SONGS[song])
    played = heard(model, SONGS[song])[0, 0].numpy()
    assert 10 * np.log10((wanted**2).sum() / ((wanted - played) ** 2).sum()) > 38


@pytest.mark.parametrize("song", range(len(SONGS)))
def test_it_finds_the_codes_of_its_own_sound(model: Codec, song: int) -> None:
    assert np.array_equal(found(model, heard(model, SONGS[song])), SONGS[song])


def test_it_finds_them_also_in_sixteen_bits(model: Codec) -> None:
    for song in SONGS:
        sound = (heard(model, song) * 32767).round() / 32767
        assert (found(model, sound) == song).mean(1).min() >= 0.95


def test_every_code_is_found_alone(model: Codec) -> None:
    for book, size in enumerate(BOOK.sizes):
        codes = np.zeros((K, size), dtype=np.int64)
        codes[book] = np.arange(size)
        assert np.array_equal(found(model, heard(model, codes)), codes)


def test_silence_is_silent_to_the_last_bit_that_pcm_has(model: Codec) -> None:
    assert heard(model, np.zeros((K, 20), dtype=np.int64)).abs().max() < 2**-16


def test_the_marks_are_far_below_the_music(model: Codec) -> None:
    spectrum = np.abs(np.fft.rfft(heard(model, SONGS[0])[0, 0].numpy())) ** 2
    hertz = np.fft.rfftfreq(120 * 1000, 1 / 32_000)
    assert spectrum[hertz > 15_000].sum() < 1e-4 * spectrum.sum()


def test_directions_and_marks_do_not_mix() -> None:
    written = codec.basis(BOOK, np.ones((K, CODES)))
    assert np.allclose(written.directions @ written.directions.T, np.eye(codec.DIRECTIONS), atol=1e-8)
    assert np.allclose(written.marks @ written.marks.T, np.eye(codec.MARKS), atol=1e-8)
    for half in np.split(written.directions, 2, axis=1):
        assert np.abs(half @ written.marks.T).max() < 1e-8
