import numpy as np
import pytest

from recipes.bundled_model import features
from recipes.bundled_model.features import CLIP_SECONDS, LAGS, MEL_BANDS, SEMITONES
from recipes.bundled_model.tuning import SAMPLE_RATE

T = np.arange(CLIP_SECONDS * SAMPLE_RATE) / SAMPLE_RATE


@pytest.mark.parametrize("pitch", [0, 13, 24, 40])
def test_a_tone_is_heard_on_its_semitone(pitch: int) -> None:
    heard = features.features(0.1 * np.sin(2 * np.pi * 64 * 2 ** (pitch / 12) * T))
    assert heard.tones.shape == (SEMITONES, 4 * CLIP_SECONDS)
    assert heard.tones.mean(1).argmax() == pitch


def test_a_higher_tone_is_heard_in_a_higher_band() -> None:
    bands = [
        features.features(0.1 * np.sin(2 * np.pi * hertz * T)).mel.mean(1).argmax()
        for hertz in (100, 400, 1600, 6400)
    ]
    assert bands == sorted(set(bands))
    assert max(bands) < MEL_BANDS


@pytest.mark.parametrize("bpm", [60, 100, 150])
def test_clicks_repeat_after_a_beat(bpm: int) -> None:
    beat = 60 / bpm
    clicks = np.where(T % beat < 0.02, np.sin(2 * np.pi * 1000 * T), 0.0)
    bands = features.features(clicks).onsets.reshape(-1, len(LAGS))
    strongest = LAGS[int(bands.sum(0).argmax())] / 100
    assert strongest / beat == pytest.approx(round(strongest / beat), abs=0.04)


def test_a_short_clip_is_filled_and_a_long_one_cut() -> None:
    whole = features.features(np.sin(T))
    assert features.features(np.sin(T[:1000])).mel.shape == whole.mel.shape
    assert np.array_equal(features.features(np.concatenate([np.sin(T), np.ones(5000)])).mel, whole.mel)
