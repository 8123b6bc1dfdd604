"""The table of prompts."""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from text2song.db.base import Base, Identified, JsonDocument


class Prompt(Identified, Base):
    """What somebody asked for. Immutable, since takes are made from it."""

    __tablename__ = "prompts"

    text: Mapped[str] = mapped_column(Text)
    attributes: Mapped[dict[str, Any]] = mapped_column(JsonDocument)
    words: Mapped[str] = mapped_column(Text)
    """Text and attributes, normalised and case-folded: what the filter searches."""
    created_at: Mapped[dt.datetime]
    user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))
