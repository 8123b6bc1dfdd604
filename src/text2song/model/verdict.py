"""What counts as sound: silent, broken or clipped output is a failure of the model, never a sample.

Needs numpy only. Thresholds are about what no listener would call music, not about taste.
"""

from typing import Final

import numpy as np

from text2song.errors import ModelOutputRejected
from text2song.sound.waveform import Waveform

SILENCE_PEAK: Final = 10 ** (-60 / 20)
"""-60 dBFS: below it even the loudest sample is lost in the noise of a quiet room."""
CLIPPED_SHARE: Final = 0.01
"""A tuned model's peaks may pass full scale now and then; a hundredth of all samples is distortion."""
SAFE_PEAK: Final = 10 ** (-1 / 20)
"""-1 dBFS, the usual ceiling for files that are coded again later."""


def accepted(waveform: Waveform) -> Waveform:
    """The waveform within ±1, scaled down as a whole (never clamped) where peaks pass full scale.

    Raises:
        ModelOutputRejected: it holds NaN or infinities, is silent, or is clipped.
    """
    loudness = np.abs(waveform.pcm)
    if not np.isfinite(loudness).all():
        raise ModelOutputRejected(
            "The model produced broken sound (NaN or infinite samples). Try another seed; if it keeps "
            "happening, the model's weights or its adapter are damaged."
        )
    peak = float(loudness.max(initial=0.0))
    if peak < SILENCE_PEAK:
        raise ModelOutputRejected(
            "The model produced silence. Try another seed, a higher temperature, or other words."
        )
    if float((loudness > 1.0).mean()) > CLIPPED_SHARE:
        raise ModelOutputRejected(
            "The model produced clipped sound: more than 1 % of its samples are beyond full scale. "
            "Try a lower guidance_scale or another seed."
        )
    if peak <= 1.0:
        return waveform
    return Waveform(pcm=waveform.pcm * np.float32(SAFE_PEAK / peak), sample_rate=waveform.sample_rate)
