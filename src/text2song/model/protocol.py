"""What a worker asks of a music model, in words that need no torch.

A *row* is one take in the making; a *batch* is the rows that are made at the same time. A row enters
when there is room and leaves when it has its end or is no longer wanted, between any two frames of the
others (continuous batching). On a processor its codes are a function of its specification alone, whoever
else is there; on a GPU the last bits may tell of the company, and so, now and then, do the codes.

Legend: K codebooks, T frames.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from text2song.errors import StudioError
from text2song.music.spec import GenerationSpec
from text2song.music.vocabulary import Vocabulary
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
    vocabulary: Vocabulary | None = None
    """What a small model understands, from its own metadata."""

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


class Stage(StrEnum):
    """Where a row is on its way."""

    ENTERING = "entering"
    """Waits for its first frame."""
    COMPOSING = "composing"
    """Its codes are drawn."""
    RENDERING = "rendering"
    """Its codes become sound."""


@dataclass(frozen=True, slots=True)
class RowProgress:
    """How far one row is."""

    stage: Stage
    frames: int
    """Frames whose codes are drawn. Less than before where a row had to begin anew for want of memory."""


@dataclass(frozen=True, slots=True, eq=False)
class RowResult:
    """The end of one row: its take, or why there is none."""

    row: int
    outcome: GeneratedTake | StudioError


class Batch(Protocol):
    """The rows that one model has in the making. One thread at a time may use it."""

    @property
    def rows(self) -> Mapping[int, RowProgress]:
        """Every row that has entered and neither ended nor left, in the order of entering."""
        ...

    def has_room_for(self, spec: GenerationSpec) -> bool:
        """Whether a row of this kind may enter now, beside those that are there.

        True whenever nobody is there: a row that does not fit even alone is told so as its outcome.
        """
        ...

    def enter(self, spec: GenerationSpec) -> int:
        """Take in a row; answers its number, which no other row of this batch ever has.

        Raises:
            ValueError: there is no room for it.
        """
        ...

    def leave(self, row: int) -> None:
        """Drop a row that is no longer wanted: it has no result. One that is not there is no error."""
        ...

    def advance(self) -> Sequence[RowResult]:
        """Bring every row on by one frame or one piece of sound; answers those that have their end.

        An error in one row is that row's outcome and leaves the others alone. Where memory runs out the
        youngest rows begin anew once there is room; only a row that does not fit alone ends by it.
        """
        ...


class MusicModel(Protocol):
    """A loaded model."""

    @property
    def info(self) -> ModelInfo:
        """What it is."""
        ...

    @property
    def capacity(self) -> int:
        """Rows that one batch can hold."""
        ...

    def open_batch(self) -> Batch:
        """An empty batch; a model has one at a time."""
        ...


def play(model: MusicModel, specs: Sequence[GenerationSpec]) -> Iterator[RowResult]:
    """Make a take for each spec, in as full a batch as fits; each result, by the spec's index, as it ends."""
    batch = model.open_batch()
    index_of: dict[int, int] = {}
    waiting = list(enumerate(specs))[::-1]
    while waiting or batch.rows:
        while waiting and batch.has_room_for(waiting[-1][1]):
            index, spec = waiting.pop()
            index_of[batch.enter(spec)] = index
        for result in batch.advance():
            yield RowResult(index_of.pop(result.row), result.outcome)
