"""What the probes hear of a clip: a mel spectrogram, semitones over time, and how onsets repeat.

Legend: J spectrogram frames, M mel bands, P semitones, L lags.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recipes.bundled_model.tuning import SAMPLE_RATE

Floats = NDArray[np.float32]
CLIP_SECONDS: Final = 8
MEL_BANDS: Final = 64
_MEL_WINDOW, _MEL_HOP = 2048, 1024
SEMITONES: Final = 60
_LOWEST_HERTZ: Final = 64.0
_TONE_WINDOW, _TONE_HOP = 8192, 8000
_ONSET_WINDOW, _ONSET_HOP = 1024, 320
ONSET_RATE: Final = SAMPLE_RATE / _ONSET_HOP
LAGS: Final = range(10, 310)
"""Of the onsets' autocorrelation, in hundredths of a second."""
_ONSET_BANDS: Final = ((0, 4), (4, 12), (12, 24), (24, 40), (40, 64))
"""As ranges of mel bands, from bass to cymbals."""


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """One clip as probes hear it."""

    mel: Floats
    """[M, J], log power"""
    tones: Floats
    """[P, J'], log power of each semitone from the lowest C (64 Hz), four columns a second"""
    onsets: Floats
    """[bands * L], the normalised autocorrelation of each band's onset strength"""


def features(pcm: NDArray[np.floating]) -> Features:
    """Of a clip of mono PCM at the model's rate; it is cut or filled up to eight seconds."""
    wanted = CLIP_SECONDS * SAMPLE_RATE
    clip = np.zeros(wanted, dtype=np.float32)
    clip[: min(wanted, len(pcm))] = pcm[:wanted]
    mel = np.log(_power(clip, _MEL_WINDOW, _MEL_HOP) @ _mel_bank(_MEL_WINDOW).T + 1e-4).T
    tones = np.log(_power(clip, _TONE_WINDOW, _TONE_HOP) @ _tone_bank().T + 1e-3).T
    return Features(mel=mel, tones=tones, onsets=_repetition(clip))


def _power(clip: Floats, window: int, hop: int) -> Floats:
    """The power spectrum of pieces of a clip, [frames, bins]."""
    padded = np.pad(clip, window // 2)
    starts = np.arange(0, len(clip), hop)
    pieces = np.lib.stride_tricks.sliding_window_view(padded, window)[starts]
    spectrum = np.fft.rfft(pieces * np.hanning(window).astype(np.float32), axis=1)
    power: Floats = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    return power


@cache
def _mel_bank(window: int) -> Floats:
    """Triangles [M, bins], equally wide on the mel scale, of area one."""
    top = 2595 * np.log10(1 + 14_000 / 700)
    edges = 700 * (10 ** (np.linspace(30, top, MEL_BANDS + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(window, 1 / SAMPLE_RATE)
    rising = (bins[None] - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins[None]) / (edges[2:] - edges[1:-1])[:, None]
    bank = np.clip(np.minimum(rising, falling), 0, None)
    scaled: Floats = (bank / np.maximum(bank.sum(1, keepdims=True), 1e-9)).astype(np.float32)
    return scaled


@cache
def _tone_bank() -> Floats:
    """What belongs to each semitone [P, bins], half of one to either side."""
    bins = np.fft.rfftfreq(_TONE_WINDOW, 1 / SAMPLE_RATE)
    steps = 12 * np.log2(np.maximum(bins, 1.0) / _LOWEST_HERTZ)
    bank: Floats = np.exp(-(((steps[None] - np.arange(SEMITONES)[:, None]) / 0.35) ** 2)).astype(np.float32)
    return bank


def _repetition(clip: Floats) -> Floats:
    mel = np.log(_power(clip, _ONSET_WINDOW, _ONSET_HOP) @ _mel_bank(_ONSET_WINDOW).T + 1e-3)  # [J, M]
    rises = np.maximum(mel[1:] - mel[:-1], 0)
    found = []
    for low, high in _ONSET_BANDS:
        strength = rises[:, low:high].mean(1)
        strength = strength - strength.mean()
        spectrum = np.fft.rfft(strength, 4 * len(strength))
        correlation = np.fft.irfft(np.abs(spectrum) ** 2)[: LAGS.stop]
        found.append(correlation[LAGS.start :] / (correlation[0] + 1e-6))
    return np.concatenate(found).astype(np.float32)
