"""PCM that never travels without its rate.

Legend: C channels, N samples in each channel.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Waveform:
    """`pcm` is float32 `[C, N]` with full scale at ±1.0; `sample_rate` is in Hz."""

    pcm: NDArray[np.float32]
    sample_rate: int

    def __post_init__(self) -> None:
        """Refuse what is not `[C, N]` float32: a programming error, not a person's."""
        if self.pcm.ndim != 2 or self.pcm.dtype != np.float32:
            raise TypeError(f"pcm must be float32 [C, N], not {self.pcm.dtype} {self.pcm.shape}")
        if self.sample_rate <= 0:
            raise ValueError(f"sample_rate must be positive, not {self.sample_rate}")

    @property
    def channels(self) -> int:
        """C."""
        return int(self.pcm.shape[0])

    @property
    def duration_seconds(self) -> float:
        """N / sample_rate."""
        return float(self.pcm.shape[1]) / self.sample_rate
