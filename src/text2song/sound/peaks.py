"""The outline of a waveform, small enough to draw a thousand takes in a browser.

Legend: C channels, N samples in each channel, B buckets.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from text2song.numbers import require_whole
from text2song.sound.waveform import Waveform

BUCKET_LIMIT: Final = 8192
"""More than any screen has columns."""
FULL_SCALE: Final = 127
"""The integer that stands for ±1.0."""


@dataclass(frozen=True, slots=True)
class Peaks:
    """Lowest and highest sample of each bucket over all channels, in integers of -127 to 127."""

    lows: tuple[int, ...]
    highs: tuple[int, ...]
    duration_seconds: float

    def as_json(self) -> dict[str, Any]:
        """The stored form and the wire's: `full_scale` says which integer means 1.0."""
        return {
            "full_scale": FULL_SCALE,
            "duration": self.duration_seconds,
            "lows": list(self.lows),
            "highs": list(self.highs),
        }


def peaks(waveform: Waveform, *, buckets: int) -> Peaks:
    """The outline of `waveform` in `buckets` equal parts, or in N parts where it has fewer samples.

    Bucket b holds the samples from b*N//B up to (b+1)*N//B.

    Raises:
        InvalidInput: `buckets` is not between 1 and `BUCKET_LIMIT`.
    """
    asked = require_whole(buckets, name="buckets", low=1, high=BUCKET_LIMIT)
    samples = waveform.pcm.shape[1]
    count = min(asked, samples)
    if count == 0:
        return Peaks((), (), waveform.duration_seconds)
    starts = np.arange(count, dtype=np.int64) * samples // count  # [B]
    lows = np.minimum.reduceat(waveform.pcm.min(axis=0), starts)  # [C, N] -> [N] -> [B]
    highs = np.maximum.reduceat(waveform.pcm.max(axis=0), starts)
    return Peaks(_as_integers(lows), _as_integers(highs), waveform.duration_seconds)


def _as_integers(levels: np.ndarray[Any, np.dtype[np.float32]]) -> tuple[int, ...]:
    scaled = np.clip(np.rint(levels * FULL_SCALE), -FULL_SCALE, FULL_SCALE)
    return tuple(scaled.astype(int).tolist())
