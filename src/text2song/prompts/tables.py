"""The table of prompts."""

import datetime as dt
from typing import Any

from sqlalchemy import Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from text2song.db.base import Base, JsonDocument
from text2song.users.ownership import Owned, ownership_indexes


class Prompt(Owned, Base):
    """What somebody asked for. Immutable, since takes are made from it; but for who may see it."""

    __tablename__ = "prompts"
    # the pair is what the keys of jobs and takes point to: see `users.ownership`
    __table_args__ = (UniqueConstraint("id", "visibility"), *ownership_indexes())

    text: Mapped[str] = mapped_column(Text)
    attributes: Mapped[dict[str, Any]] = mapped_column(JsonDocument)
    words: Mapped[str] = mapped_column(Text)
    """Text and attributes, normalised and case-folded: what the filter searches."""
    created_at: Mapped[dt.datetime]
