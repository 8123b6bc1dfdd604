"""The table of adapters."""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from text2song.db.base import BLOB_KEY, Base, Identified, JsonDocument


class Adapter(Identified, Base):
    """One version of a LoRA adapter."""

    __tablename__ = "adapters"
    __table_args__ = (UniqueConstraint("name", "version"),)

    name: Mapped[str] = mapped_column(String(100))
    version: Mapped[str] = mapped_column(String(64))
    description: Mapped[str] = mapped_column(Text, default="")
    base_model: Mapped[str] = mapped_column(String(200))
    storage_path: Mapped[str] = mapped_column(String(300), info=BLOB_KEY)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    """sha256 of the bundle: what a generation spec names."""
    training_dataset_id: Mapped[uuid.UUID | None]
    training_config: Mapped[dict[str, Any]] = mapped_column(JsonDocument, default=dict)
    created_at: Mapped[dt.datetime]
    is_active: Mapped[bool] = mapped_column(default=False)
