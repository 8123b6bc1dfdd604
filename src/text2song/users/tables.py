"""The table of users."""

import datetime as dt

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from text2song.db.base import Base, Identified


class User(Identified, Base):
    """A person who writes prompts and gives feedback."""

    __tablename__ = "users"

    name: Mapped[str] = mapped_column(String(100), unique=True)
    created_at: Mapped[dt.datetime]
