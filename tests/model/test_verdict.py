import numpy as np
import pytest

from text2song.errors import ModelOutputRejected
from text2song.model.verdict import SAFE_PEAK, accepted
from text2song.sound.waveform import Waveform


def sine(peak: float, *, channels: int = 1) -> Waveform:
    seconds = np.arange(32_000) / 32_000
    pcm = peak * np.sin(2 * np.pi * 440 * seconds)
    return Waveform(pcm=np.tile(pcm.astype(np.float32), (channels, 1)), sample_rate=32_000)


def test_sound_within_full_scale_is_left_alone() -> None:
    waveform = sine(1.0)
    assert accepted(waveform) is waveform


@pytest.mark.parametrize("peak", [0.0, 0.0009])
def test_silence_is_rejected(peak: float) -> None:
    with pytest.raises(ModelOutputRejected, match="silence"):
        accepted(sine(peak))


def test_quiet_music_and_a_single_silent_channel_are_kept() -> None:
    assert accepted(sine(0.0011)).channels == 1
    half = sine(0.5, channels=2)
    half.pcm[1] = 0
    assert accepted(half) is half


def test_no_samples_at_all_are_silence() -> None:
    with pytest.raises(ModelOutputRejected, match="silence"):
        accepted(Waveform(pcm=np.zeros((1, 0), np.float32), sample_rate=32_000))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_broken_sample_rejects_the_whole(value: float) -> None:
    waveform = sine(0.5)
    waveform.pcm[0, 77] = value
    with pytest.raises(ModelOutputRejected, match="broken"):
        accepted(waveform)


def test_a_hundredth_beyond_full_scale_is_clipped_and_less_is_brought_down() -> None:
    waveform = sine(0.5)
    waveform.pcm[0, :320] = 1.5  # exactly 1 %
    lowered = accepted(waveform)
    assert np.abs(lowered.pcm).max() == pytest.approx(SAFE_PEAK)
    assert np.allclose(lowered.pcm, waveform.pcm * (SAFE_PEAK / 1.5), atol=1e-7)  # the shape is kept

    waveform.pcm[0, 320] = -1.5
    with pytest.raises(ModelOutputRejected, match="clipped"):
        accepted(waveform)
