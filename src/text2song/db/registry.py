"""Every table in one place, for migrations and for tests that need the whole schema."""

from importlib import import_module
from typing import Final

from sqlalchemy import MetaData

from text2song.db.base import Base

FEATURES: Final = ("users", "models", "prompts", "adapters", "audio", "generation")
"""The folders that have a `tables.py`."""


def metadata() -> MetaData:
    """The metadata with all tables in it.

    By name and late, because features lie above this folder and may not be imported from here.
    """
    for feature in FEATURES:
        import_module(f"text2song.{feature}.tables")
    return Base.metadata
