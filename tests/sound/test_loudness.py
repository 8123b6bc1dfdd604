import math

import numpy as np
import pytest
from numpy.typing import NDArray

from text2song.sound.loudness import CEILING_DBTP, Loudness, measure, playback_gain_db
from text2song.sound.waveform import Waveform

PRESENT = 997.0
"""Hz: the frequency at which BS.1770 defines that a full-scale sine reads -3.01 LKFS."""


def sine(
    frequency: float, *, level_db: float, rate: int = 48_000, seconds: float = 2.0, phase: float = 0.0
) -> NDArray[np.float32]:
    time = np.arange(int(seconds * rate)) / rate
    wave = 10 ** (level_db / 20) * np.sin(2 * np.pi * frequency * time + phase)
    return wave.astype(np.float32)


def lufs(*channels: NDArray[np.float32], rate: int = 48_000) -> float:
    loudness = measure(Waveform(np.stack(channels), rate)).loudness_lufs
    assert loudness is not None
    return loudness


@pytest.mark.parametrize("rate", [16_000, 32_000, 44_100, 48_000])
def test_a_sine_reads_as_the_standard_says(rate: int) -> None:
    wave = sine(PRESENT, level_db=-20.0, rate=rate)

    assert lufs(wave, rate=rate) == pytest.approx(-23.01, abs=0.1)
    assert lufs(wave, wave, rate=rate) == pytest.approx(-20.0, abs=0.1)


def slow_lufs(samples: NDArray[np.float32]) -> float:
    """BS.1770-4 for one channel at 48 kHz, with the coefficients of its tables 1 and 2."""
    shelf = ([1.53512485958697, -2.69169618940638, 1.19839281085285], [-1.69065929318241, 0.73248077421585])
    highpass = ([1.0, -2.0, 1.0], [-1.99004745483398, 0.99007225036621])
    weighted = [float(x) for x in samples]
    for (b0, b1, b2), (a1, a2) in (shelf, highpass):
        x1 = x2 = y1 = y2 = 0.0
        for n, x in enumerate(weighted):
            y = b0 * x + b1 * x1 + b2 * x2 - a1 * y1 - a2 * y2
            x1, x2, y1, y2 = x, x1, y, y1
            weighted[n] = y
    squares = [y * y for y in weighted]
    powers = [
        sum(squares[start : start + 19_200]) / 19_200 for start in range(0, len(squares) - 19_200 + 1, 4_800)
    ]

    def level(some: list[float]) -> float:
        return -0.691 + 10 * math.log10(sum(some) / len(some))

    audible = [power for power in powers if level([power]) > -70.0]
    return level([power for power in audible if level([power]) > level(audible) - 10.0])


def test_equals_a_slow_reference_with_gating() -> None:
    """Loud, then 25 dB quieter, then silent, and an incomplete block: both gates have work to do."""
    drawn = np.random.default_rng(2).standard_normal(48_000 * 2 + 3_000) * 0.1
    drawn[60_000:80_000] *= 10 ** (-25 / 20)
    drawn[80_000:] = 0.0
    samples = drawn.astype(np.float32)

    assert lufs(samples) == pytest.approx(slow_lufs(samples), abs=0.1)


def test_a_clip_shorter_than_one_block_reads_like_its_repetition() -> None:
    wave = sine(PRESENT, level_db=-20.0, seconds=2.0)

    for seconds in (0.02, 0.2, 0.399):
        assert lufs(wave[: int(48_000 * seconds)]) == pytest.approx(-23.01, abs=0.15)


@pytest.mark.parametrize("seconds", [0.4, 0.46, 0.499, 0.57])
def test_an_incomplete_last_block_makes_nothing_quieter(seconds: float) -> None:
    assert lufs(sine(PRESENT, level_db=-20.0, seconds=seconds)) == pytest.approx(-23.01, abs=0.1)


@pytest.mark.parametrize("samples", [19_199, 19_200, 19_201, 22_080, 23_999, 24_000, 1])
def test_any_length_is_measured(samples: int) -> None:
    assert lufs(np.full(samples, 0.1, np.float32)) < -20.0


def test_silence_has_no_loudness_and_no_peak() -> None:
    for samples in (0, 1, 10, 48_000):
        assert measure(Waveform(np.zeros((2, samples), np.float32), 48_000)) == Loudness(None, None)


def test_below_the_gate_there_is_a_peak_but_no_loudness() -> None:
    found = measure(Waveform(sine(PRESENT, level_db=-90.0)[None], 48_000))

    assert found.loudness_lufs is None
    assert found.true_peak_dbtp == pytest.approx(-90.0, abs=0.1)


def faded(wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without an edge: a sine that starts at full swing has a real overshoot there."""
    return (wave * np.hanning(len(wave))).astype(np.float32)


def test_a_peak_between_the_samples_is_found() -> None:
    """At a quarter of the rate and 45 degrees every sample lies at 0.707 of the swing: 3.01 dB below it."""
    wave = faded(sine(12_000.0, level_db=-1.0, phase=math.pi / 4))

    assert 20 * math.log10(np.abs(wave).max()) == pytest.approx(-4.01, abs=0.01)
    assert measure(Waveform(wave[None], 48_000)).true_peak_dbtp == pytest.approx(-1.0, abs=0.05)


@pytest.mark.parametrize("samples", [100, 1_000, 48_100])
def test_a_peak_between_the_last_samples_is_found(samples: int) -> None:
    """The swing grows to the very end, so only what the oversampler still holds back shows it."""
    wave = sine(12_000.0, level_db=0.0, phase=math.pi / 4)[:samples]
    growing = (wave * np.linspace(0, 1, samples) ** 4).astype(np.float32)

    peak = measure(Waveform(growing[None], 48_000)).true_peak_dbtp

    assert peak is not None
    assert peak > 20 * math.log10(np.abs(growing).max()) + 2.0


@pytest.mark.parametrize("frequency", [100.0, 5_000.0, 15_000.0])
def test_the_true_peak_misses_no_more_than_the_standard_allows(frequency: float) -> None:
    """Four times the rate reads low by at most 20 log10(cos(pi f / (4 rate))) dB."""
    allowed = 20 * math.log10(math.cos(math.pi * frequency / (4 * 48_000)))

    for phase in (0.0, 0.4, 1.1):
        wave = faded(sine(frequency, level_db=0.0, phase=phase))
        peak = measure(Waveform(wave[None], 48_000)).true_peak_dbtp
        assert peak is not None
        assert allowed - 0.02 <= peak <= 0.02


def test_a_peak_is_found_in_any_second_and_any_channel() -> None:
    pcm = np.zeros((2, 4 * 8_000 + 17), np.float32)
    for at in (3, 7_999, 8_000, 16_001, pcm.shape[1] - 1):
        for channel in (0, 1):
            pcm[:] = 0.0
            pcm[channel, at] = 0.5
            assert measure(Waveform(pcm, 8_000)).true_peak_dbtp == pytest.approx(-6.02, abs=0.3)


def test_playback_gain_brings_all_to_the_quietest() -> None:
    quiet, loud = Loudness(-23.0, -9.0), Loudness(-14.0, -1.5)

    assert playback_gain_db([loud, quiet]) == [-9.0, 0.0]


def test_playback_gain_respects_the_ceiling_of_the_quietest() -> None:
    """The quietest one peaks at +0.5 dBTP and must come down by 1.5 dB; the other one follows."""
    assert playback_gain_db([Loudness(-20.0, 0.5), Loudness(-18.0, -3.0)]) == [-1.5, -3.5]


def test_playback_gain_lets_nothing_swing_above_the_ceiling() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        samples = [
            Loudness(float(level), float(level + crest))
            for level, crest in zip(rng.uniform(-50, -5, 5), rng.uniform(0, 25, 5), strict=True)
        ]
        gains = playback_gain_db(samples)
        heard = [
            s.loudness_lufs + g for s, g in zip(samples, gains, strict=True) if s.loudness_lufs is not None
        ]
        peaks = [
            s.true_peak_dbtp + g for s, g in zip(samples, gains, strict=True) if s.true_peak_dbtp is not None
        ]
        assert max(gains) <= 0.0
        assert max(heard) - min(heard) < 1e-9
        assert max(peaks) <= CEILING_DBTP + 1e-9


def test_silence_takes_no_part() -> None:
    assert playback_gain_db([]) == []
    assert playback_gain_db([Loudness(None, None)]) == [0.0]
    assert playback_gain_db([Loudness(None, None), Loudness(-20.0, -5.0), Loudness(-15.0, -5.0)]) == [
        0,
        0,
        -5,
    ]


def test_the_gain_makes_real_waveforms_equally_loud() -> None:
    waves = [sine(PRESENT, level_db=-20.0), sine(PRESENT, level_db=-6.0)]
    gains = playback_gain_db([measure(Waveform(w[None], 48_000)) for w in waves])

    heard = [lufs((w * 10 ** (g / 20)).astype(np.float32)) for w, g in zip(waves, gains, strict=True)]

    assert heard[0] == pytest.approx(heard[1], abs=0.01)
