import numpy as np
import pytest

from text2song.sound.waveform import Waveform


def test_it_knows_its_channels_and_its_duration() -> None:
    waveform = Waveform(np.zeros((2, 24_000), dtype=np.float32), sample_rate=32_000)
    assert (waveform.channels, waveform.duration_seconds) == (2, 0.75)


@pytest.mark.parametrize(
    "pcm", [np.zeros(8, np.float32), np.zeros((1, 8), np.float64), np.zeros((1, 1, 8), np.float32)]
)
def test_what_is_not_channels_by_samples_of_float32_is_refused(pcm: np.ndarray) -> None:
    with pytest.raises(TypeError, match="float32"):
        Waveform(pcm, sample_rate=32_000)


@pytest.mark.parametrize("rate", [0, -1])
def test_a_rate_must_be_positive(rate: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        Waveform(np.zeros((1, 8), dtype=np.float32), sample_rate=rate)
