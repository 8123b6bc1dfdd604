"""How loud a waveform is heard, how far it really swings, and how to play several equally loud.

Source: ITU-R BS.1770-4, Annex 1 (integrated loudness with gating) and Annex 2 (true peak).

Legend: C channels, N samples in each channel.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import soxr
from numpy.typing import NDArray

from text2song.sound.waveform import Waveform

CEILING_DBTP: Final = -1.0
"""True peak that playback must not exceed: what lossy codecs and converters need as headroom."""
_BLOCKS_PER_SECOND: Final = 10
"""Gating blocks are 0.4 s long and start every 0.1 s (Annex 1, section 2)."""
_BLOCK_HOPS: Final = 4
_OVERSAMPLING: Final = 4


@dataclass(frozen=True, slots=True)
class Loudness:
    """Integrated loudness and true peak; None stands for minus infinity, which JSON cannot say."""

    loudness_lufs: float | None
    """None where no block passes the absolute gate of -70 LUFS: silence, to a listener."""
    true_peak_dbtp: float | None
    """None where every sample is zero."""


def measure(waveform: Waveform) -> Loudness:
    """Loudness and true peak of `waveform` (up to five channels, in the order L R C Ls Rs)."""
    if waveform.pcm.size == 0:
        return Loudness(None, None)
    return Loudness(_integrated_lufs(waveform), _decibels(_true_peak(waveform)))


def playback_gain_db(loudnesses: Sequence[Loudness], *, ceiling_dbtp: float = CEILING_DBTP) -> list[float]:
    """The gain in dB for each sample that makes all equally loud, with no true peak above the ceiling.

    The common loudness is that of the quietest, or lower where its peaks ask for it. So no gain is
    above 0 dB: a browser's volume control can apply it, and nothing clips. Silence has no loudness
    to match and gets 0.0.
    """
    targets = [
        sample.loudness_lufs + min(0.0, ceiling_dbtp - _peak_or_floor(sample))
        for sample in loudnesses
        if sample.loudness_lufs is not None
    ]
    if not targets:
        return [0.0] * len(loudnesses)
    common = min(targets)
    return [0.0 if s.loudness_lufs is None else common - s.loudness_lufs for s in loudnesses]


def _peak_or_floor(sample: Loudness) -> float:
    return -math.inf if sample.true_peak_dbtp is None else sample.true_peak_dbtp


def _integrated_lufs(waveform: Waveform) -> float | None:
    # With it comes scipy, two seconds that an API which only matches gains need not wait for.
    import pyloudnorm  # noqa: PLC0415

    meter = pyloudnorm.Meter(waveform.sample_rate)
    measurable = _whole_blocks(waveform).T.astype(np.float64)  # [N', C]
    lufs = float(meter.integrated_loudness(measurable))
    return lufs if math.isfinite(lufs) else None


def _whole_blocks(waveform: Waveform) -> NDArray[np.float32]:
    """`[C, N']` with N' a whole number of gating blocks.

    The standard leaves an incomplete last block out; pyloudnorm would fill it with nothing and read
    it as quieter. A clip shorter than one block has no loudness in the standard: it is repeated
    until it fills one, which is what a listener who loops it hears and keeps its mean square,
    where padding with silence would lower it.
    """
    hop = -(-waveform.sample_rate // _BLOCKS_PER_SECOND)
    block = _BLOCK_HOPS * hop
    samples = waveform.pcm.shape[1]
    if samples < block:
        return np.tile(waveform.pcm, (1, -(-block // samples)))[:, :block]
    return waveform.pcm[:, : block + (samples - block) // hop * hop]


def _true_peak(waveform: Waveform) -> float:
    """The highest swing between the samples too, by fourfold oversampling; full scale is 1.0."""
    sampled = float(np.abs(waveform.pcm).max())
    between = (
        float(np.abs(block).max(initial=0.0))
        for channel in waveform.pcm
        for block in _oversampled(channel, sample_rate=waveform.sample_rate)
    )
    return max(sampled, *between)


def _oversampled(channel: NDArray[np.float32], *, sample_rate: int) -> Iterator[NDArray[np.float32]]:
    """The channel `[N]` at four times its rate, a second at a time: five minutes would be 150 MB."""
    stream = soxr.ResampleStream(sample_rate, _OVERSAMPLING * sample_rate, 1, dtype="float32")
    for start in range(0, len(channel), sample_rate):
        end = start + sample_rate
        yield stream.resample_chunk(channel[start:end], last=end >= len(channel))


def _decibels(amplitude: float) -> float | None:
    return 20.0 * math.log10(amplitude) if amplitude > 0.0 else None
