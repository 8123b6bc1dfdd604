"""The bodies of prompts."""

import datetime as dt
import uuid
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field

from text2song.music.attributes import (
    DURATION_RANGE_SECONDS,
    INSTRUMENT_LIMIT,
    TEMPO_RANGE_BPM,
    WORD_LIMIT,
    MusicAttributes,
)
from text2song.music.sentence import TEXT_LIMIT
from text2song.prompts.examples import PROMPT_IN, PROMPT_OUT, PROMPT_PATCH
from text2song.wire import Number, WireModel, one_line

Text = Annotated[str, Field(min_length=1, max_length=TEXT_LIMIT), AfterValidator(one_line)]
Word = Annotated[str, Field(min_length=1, max_length=WORD_LIMIT), AfterValidator(one_line)]
VisibilityName = Annotated[
    Literal["private", "shared"],
    Field(
        description="Who sees the prompt, its jobs and its takes: its owner and admins, or everybody who is "
        "logged in."
    ),
]


class Attributes(WireModel):
    """The structured half of a prompt; each is optional."""

    style: Word | None = Field(default=None, examples=["lo-fi"])
    tempo: Number | None = Field(
        default=None,
        ge=TEMPO_RANGE_BPM[0],
        le=TEMPO_RANGE_BPM[1],
        examples=[84],
        description="Beats a minute.",
    )
    instrumentation: list[Word] = Field(
        default=[], max_length=INSTRUMENT_LIMIT, examples=[["piano", "brushed drums"]]
    )
    mood: Word | None = Field(default=None, examples=["mellow"])
    duration: Number | None = Field(
        default=None,
        ge=DURATION_RANGE_SECONDS[0],
        le=DURATION_RANGE_SECONDS[1],
        examples=[8],
        description="Seconds. The model that is served may allow less.",
    )

    def as_music(self) -> MusicAttributes:
        """The validated value.

        Raises:
            InvalidInput: for what only the domain refuses, such as words of white space.
        """
        return MusicAttributes.from_json(self.model_dump())

    @classmethod
    def of(cls, stored: dict[str, Any]) -> Self:
        """From the stored form."""
        return cls.model_validate(stored)


class PromptIn(WireModel):
    """A new prompt."""

    model_config = ConfigDict(json_schema_extra={"examples": [PROMPT_IN]})

    text: Text = Field(examples=["warm lo-fi with a lazy piano and brushed drums"])
    attributes: Attributes = Attributes()


class PromptOut(WireModel):
    """A stored prompt."""

    model_config = ConfigDict(json_schema_extra={"examples": [PROMPT_OUT]})

    id: uuid.UUID
    text: str
    attributes: Attributes
    sentence: str = Field(description="What the model reads.")
    created_at: dt.datetime
    user_id: uuid.UUID | None
    visibility: VisibilityName


class PromptPatch(WireModel):
    """What can change of a prompt."""

    model_config = ConfigDict(json_schema_extra={"examples": [PROMPT_PATCH]})

    visibility: VisibilityName
