"""Builders of rows, and a studio without a model, for tests of what lies below the model."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import uuid
    from pathlib import Path

    from sqlalchemy.orm import Session

    from text2song.generation.tables import GenerationJob
    from text2song.settings import Settings

MODEL = "test/model"


def bare_settings(home: Path, *, database: Path, **settings: str) -> Settings:  # names of settings
    """A home with a migrated database in it and nothing else; faster than one with a model."""
    from text2song.settings import load_settings

    home.mkdir()
    shutil.copy(database, home / "studio.db")
    given = {f"TEXT2SONG_{name.upper()}": value for name, value in settings.items()}
    return load_settings({"TEXT2SONG_HOME": str(home), **given})


def add_prompt(session: Session) -> uuid.UUID:
    """A prompt that jobs can be of."""
    from tests.studios import START
    from text2song.prompts.tables import Prompt

    prompt = Prompt(text="a slow walk home", attributes={}, words="a slow walk home", created_at=START)
    session.add(prompt)
    session.flush()
    return prompt.id


def job_of(prompt_id: uuid.UUID, **columns: object) -> GenerationJob:  # names of columns
    """A waiting job of `MODEL` for one take, unless the columns say otherwise."""
    from tests.studios import START
    from text2song.db.base import new_id
    from text2song.generation.tables import GenerationJob

    given: dict[str, object] = {
        "id": new_id(),
        "prompt_id": prompt_id,
        "sentence": "a slow walk home",
        "model": MODEL,
        "num_samples": 1,
        "sides": [[]],
        "generation_params": {},
        "frames_total": 50,
        "cost": 1.0,
        "created_at": START,
    }
    return GenerationJob(**(given | columns))
