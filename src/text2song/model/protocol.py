"""What a worker asks of a music model, in words that need no torch.

Legend: K codebooks, T frames. A *row* is one take in the making, at its index in the batch.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from text2song.errors import StudioError
from text2song.music.spec import GenerationSpec
from text2song.sound.waveform import Waveform


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a model is and what it can do: all that the API, which has no torch, must know of it."""

    id: str
    """How requests name it: a Hugging Face id or the name of a local folder."""
    revision: str
    """The pinned commit of a hub model, or `local`."""
    fingerprint: str
    """sha256 over the bytes of its configuration and weights: the same fingerprint, the same model."""
    license: str
    is_trained: bool
    """False for random weights: every surface then says that the sound is untrained noise."""
    sample_rate: int
    """Hz."""
    frame_rate: float
    """Codec frames a second."""
    channels: int
    codebooks: int
    """K."""
    codebook_size: int
    max_duration_seconds: float
    dtype: str
    """Of the decoder's weights while it runs, such as `float32`."""
    device: str
    """What computes: `cpu`, or the GPU's name."""
    module_shapes: dict[str, tuple[int, int]]
    """Linear modules of the decoder that an adapter may target: name to (out, in) features."""
    vocabulary: dict[str, Any] | None = None
    """What a small model understands (styles, instruments, moods), from its own metadata."""

    def frames_for(self, duration_seconds: float) -> int:
        """T of a take of that length."""
        return frames_in(duration_seconds, frame_rate=self.frame_rate)


def frames_in(duration_seconds: float, *, frame_rate: float) -> int:
    """T: the number of frames nearest to that duration, at least one."""
    return max(1, round(duration_seconds * frame_rate))


@dataclass(frozen=True, slots=True, eq=False)
class GeneratedTake:
    """What the model made for one row."""

    codes: NDArray[np.int16]
    """[K, T]"""
    waveform: Waveform
    token_ids: tuple[int, ...]
    """The sentence as the text encoder read it."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a batch is."""

    stage: str
    """`composing` while codes are drawn, `rendering` while they become sound."""
    frames: tuple[int, ...]
    """Frames done, by row."""


Watch = Callable[[Progress], Collection[int]]
"""Called at each frame, cheaply; answers the rows that are no longer wanted."""


@dataclass(frozen=True, slots=True, eq=False)
class RowResult:
    """The end of one row: its take, or why there is none."""

    row: int
    outcome: GeneratedTake | StudioError


class MusicModel(Protocol):
    """A loaded model.

    `generate` yields each row's result as soon as that row is finished, in any order. A row that
    the watch drops is not yielded. An error in one row is that row's outcome and leaves the others
    alone. On a processor the codes of a row are a function of its spec alone, never of the batch around
    it; on a GPU the last bits may tell of the batch, and so, now and then, do the codes.
    """

    @property
    def info(self) -> ModelInfo:
        """What it is."""
        ...

    @property
    def capacity(self) -> int:
        """Rows that one batch can hold."""
        ...

    def generate(self, specs: Sequence[GenerationSpec], *, watch: Watch) -> Iterator[RowResult]:
        """Make a take for each spec, at most `capacity` of them."""
        ...
