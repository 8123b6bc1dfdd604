"""The tables of models and of the workers that serve them."""

import datetime as dt
import uuid
from typing import Any, Final

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from text2song.db.base import Base, Identified, JsonDocument

NAME_LIMIT: Final = 200
"""Characters. Jobs, samples and adapters name their model too, in columns of this length."""
WORKER_NAME_LIMIT: Final = 128
"""Characters. Jobs say who claimed them, in a column of this length."""


class Model(Identified, Base):
    """A model that some worker serves or has served."""

    __tablename__ = "models"

    name: Mapped[str] = mapped_column(String(NAME_LIMIT), unique=True)
    """How requests name it, such as `facebook/musicgen-small`."""
    revision: Mapped[str] = mapped_column(Text)
    fingerprint: Mapped[str] = mapped_column(String(64))
    license: Mapped[str] = mapped_column(Text)
    """In its author's words, however many."""
    is_trained: Mapped[bool]
    sample_rate: Mapped[int]
    frame_rate: Mapped[float]
    channels: Mapped[int]
    codebooks: Mapped[int]
    codebook_size: Mapped[int]
    max_duration_seconds: Mapped[float]
    module_shapes: Mapped[dict[str, Any]] = mapped_column(JsonDocument)
    vocabulary: Mapped[dict[str, Any] | None] = mapped_column(JsonDocument)
    created_at: Mapped[dt.datetime]
    announced_at: Mapped[dt.datetime]
    """When a worker last began to serve it."""


class ModelWorker(Identified, Base):
    """A process that serves one model."""

    __tablename__ = "model_workers"

    model_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("models.id"), index=True)
    name: Mapped[str] = mapped_column(String(WORKER_NAME_LIMIT))
    """Host and process."""
    dtype: Mapped[str] = mapped_column(Text)
    device: Mapped[str | None] = mapped_column(Text)
    """What computes: `cpu`, or the GPU's name; None for a worker of a version that does not say."""
    capacity: Mapped[int]
    speed: Mapped[float | None]
    """Seconds of audio made in a second, measured; None before the first job."""
    started_at: Mapped[dt.datetime]
    heartbeat_at: Mapped[dt.datetime]
    left_at: Mapped[dt.datetime | None]
    """When it ended in good order; one that was killed only falls silent."""
