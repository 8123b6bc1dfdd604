"""Builders of rows, for tests of what lies below the features."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import uuid

    from sqlalchemy.orm import Session

    from text2song.generation.tables import GenerationJob

MODEL = "test/model"


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
