import numpy as np
import pytest

from recipes.bundled_model import dictionary, scoring, voices
from recipes.bundled_model.composer import Note
from recipes.bundled_model.dictionary import CODES, GAIN, K, Stroke
from recipes.bundled_model.tuning import FRAME_SAMPLES, SAMPLE_RATE
from tests.recipes.bundled_model.songs import a_song

BOOK = dictionary.build()


def test_every_codebook_fits_and_no_code_means_two_things() -> None:
    assert len(BOOK.sizes) == K
    for codes, size in zip(BOOK.codes, BOOK.sizes, strict=True):
        assert size <= CODES
        assert sorted(codes.values()) == list(range(1, size))


def test_silence_is_silent() -> None:
    assert not BOOK.grains[:, 0].any()
    assert not BOOK.render(np.zeros((K, 10), dtype=np.int64)).any()


@pytest.mark.parametrize("instrument", ["flute", "saxophone", "synth"])
@pytest.mark.parametrize("pitch", [7, 13, 20, 28])
def test_grains_of_a_held_note_join_to_the_note_itself(instrument: str, pitch: int) -> None:
    codes = scoring.score([Note("lead", instrument, pitch, 0, 64)], a_song(tempo_bpm=60), frames=40)
    played = BOOK.render(codes)[: 39 * FRAME_SAMPLES]
    seconds = np.arange(len(played)) / SAMPLE_RATE
    voice = voices.VOICES["lead"][instrument]
    wanted = GAIN * voices.tones(voice, dictionary.loop_of(pitch), seconds=seconds, like_seconds=0.0)
    assert np.abs(played - wanted).max() < 1e-9


def test_the_attack_of_a_plucked_note_is_the_note_itself() -> None:
    codes = scoring.score([Note("lead", "piano", 12, 0, 64)], a_song(tempo_bpm=60), frames=10)
    seconds = np.arange(3 * FRAME_SAMPLES) / SAMPLE_RATE
    voice = voices.VOICES["lead"]["piano"]
    wanted = GAIN * voices.tones(voice, dictionary.loop_of(12), seconds=seconds, like_seconds=seconds)
    assert np.abs(BOOK.render(codes)[: len(wanted)] - wanted).max() < 1e-9


def test_a_drum_whose_frames_follow_each_other_is_the_drum_itself() -> None:
    hit = voices.DRUMS["snare"]
    codes = np.zeros((K, hit.frames + 2), dtype=np.int64)
    codes[0, : hit.frames] = [BOOK.codes[0][Stroke(("snare", i), None)] for i in range(hit.frames)]
    played = BOOK.render(codes)
    assert np.abs(played[: len(hit.pcm)] - GAIN * hit.pcm).max() < 1e-9
    assert not played[len(hit.pcm) :].any()


def test_a_note_dies_away_or_is_held() -> None:
    assert dictionary.moment_at("lead", "piano", 12, 10_000) is None
    assert dictionary.moment_at("lead", "flute", 12, 10_000) is not None
