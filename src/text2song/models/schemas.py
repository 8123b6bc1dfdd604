"""What the API says of models."""

import datetime as dt
import uuid

from pydantic import ConfigDict, Field

from text2song.models.examples import MODEL_OUT, SMALL_MODEL_OUT
from text2song.wire import WireModel


class ModelWorkerOut(WireModel):
    """A process that serves a model now."""

    name: str
    dtype: str
    device: str | None = Field(
        description="What computes: cpu, or the GPU's name; null where it is not told."
    )
    capacity: int = Field(description="Takes that it makes at the same time.")
    speed: float | None = Field(description="Seconds of audio made in a second; null before the first job.")
    heartbeat_at: dt.datetime


class VocabularyOut(WireModel):
    """The words that a small model was taught; others tell it little."""

    styles: list[str]
    instruments: list[str]
    moods: list[str]
    tempo_range_bpm: tuple[float, float] = Field(description="The slowest and the fastest tempo.")
    note: str = Field(description="What the model does with other words.")


class ModelOut(WireModel):
    """A model and what it can do."""

    model_config = ConfigDict(json_schema_extra={"examples": [MODEL_OUT, SMALL_MODEL_OUT]})

    id: uuid.UUID
    name: str = Field(examples=["facebook/musicgen-small"], description="How requests name it.")
    revision: str
    fingerprint: str = Field(description="sha256 over configuration and weights.")
    license: str = Field(description="Of the weights; the code's own licence is Apache-2.0.")
    is_trained: bool
    notice: str | None = Field(description="What a listener must know, if anything.")
    sample_rate: int = Field(description="Hz.")
    frame_rate: float = Field(description="Codec frames a second.")
    channels: int
    codebooks: int
    codebook_size: int
    max_duration_seconds: float
    module_shapes: dict[str, tuple[int, int]] = Field(
        description="Linear modules that an adapter may target: (out, in) features."
    )
    vocabulary: VocabularyOut | None = Field(
        description="The words that a small model understands; null for one that reads sentences."
    )
    workers: list[ModelWorkerOut]
