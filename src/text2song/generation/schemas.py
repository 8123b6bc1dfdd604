"""The bodies of generation jobs."""

import datetime as dt
import uuid
from typing import Annotated, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from text2song.audio.schemas import ResolvedParams
from text2song.generation.examples import CANCELLED, JOB_OUT
from text2song.music.attributes import DURATION_RANGE_SECONDS
from text2song.music.sampling import SEED_LIMIT
from text2song.prompts.schemas import PromptIn
from text2song.wire import NO_NULS, Id, Number, Whole, WireModel

SAMPLES_LIMIT: Final = 16
SIDES_LIMIT: Final = 8
TAKES_LIMIT: Final = 64
"""Takes of one job, over all sides."""
COMPOSITION_LIMIT: Final = 4
"""Adapters that act together on one side."""


class GenerationParams(WireModel):
    """How to draw. What is given here wins over the prompt's attributes."""

    seed: Whole | None = Field(
        default=None,
        ge=0,
        le=SEED_LIMIT,
        examples=[7],
        description="Of the first take; the next takes count on from it. Drawn where it is left out.",
    )
    temperature: Number = Field(default=1.0, ge=0.05, le=5.0)
    top_k: Whole = Field(default=250, ge=0, le=100_000, description="0 keeps every code.")
    top_p: Number = Field(default=1.0, ge=0.01, le=1.0, description="1 keeps the whole distribution.")
    guidance_scale: Number = Field(
        default=3.0, ge=1.0, le=20.0, description="How closely to follow the words; 1 is no guidance."
    )
    duration: Number | None = Field(
        default=None,
        ge=DURATION_RANGE_SECONDS[0],
        examples=[8],
        description="Seconds, as many as the model makes. Left out: the prompt's duration, or ten seconds.",
    )


class AdapterChoice(WireModel):
    """One adapter of a side."""

    adapter: Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NULS, examples=["warm@1.2.0"])] = (
        Field(description="Its id, or name@version.")
    )
    weight: Number = Field(default=1.0, ge=-4.0, le=4.0)


Side = Annotated[list[AdapterChoice], Field(max_length=COMPOSITION_LIMIT)]


class GenerateIn(WireModel):
    """A request for takes: of a stored prompt, or of a new one."""

    prompt_id: Id | None = None
    prompt: PromptIn | None = None
    from_sample: Id | None = Field(
        default=None, description="Make this sample again, exactly; nothing else but priority goes with it."
    )
    num_samples: Whole = Field(default=1, ge=1, le=SAMPLES_LIMIT, description="Takes of each side.")
    generation_params: GenerationParams = GenerationParams()
    priority: Whole = Field(default=0, ge=-10, le=10, description="Higher is served first.")
    model: Annotated[str, Field(max_length=200, pattern=NO_NULS)] | None = Field(
        default=None, description="Left out: the model that is served."
    )
    adapter_id: Id | None = Field(default=None, description="Short for one side with this one adapter.")
    sides: Annotated[list[Side], Field(min_length=1, max_length=SIDES_LIMIT)] | None = Field(
        default=None,
        examples=[[[], [{"adapter": "warm@1.2.0", "weight": 1.0}]]],
        description="What to compare, with the same seeds on each side; an empty side is the bare model.",
    )

    @model_validator(mode="after")
    def _one_prompt_one_way(self) -> Self:
        if self.from_sample is not None:
            if self.model_fields_set - {"from_sample", "priority"}:
                raise ValueError(
                    "must hold nothing beside from_sample but priority: the sample says the rest"
                )
        elif (self.prompt_id is None) == (self.prompt is None):
            raise ValueError("must hold either prompt_id or prompt")
        if self.adapter_id is not None and self.sides is not None:
            raise ValueError("must hold either adapter_id or sides, or neither")
        if self.num_samples * len(self.sides or [[]]) > TAKES_LIMIT:
            raise ValueError(
                f"must ask for at most {TAKES_LIMIT} takes: num_samples times the number of sides"
            )
        return self


Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]


class JobError(WireModel):
    """Why a job or a take failed, and what to do."""

    code: str
    message: str


class TakeOut(WireModel):
    """One take of a job."""

    take: int
    side: int
    status: Status
    seed: int
    adapter_id: uuid.UUID | None
    audio_id: uuid.UUID | None = Field(
        description="The sample, once the take succeeded; null again when somebody deleted the sample."
    )
    error: JobError | None


class JobSampleOut(WireModel):
    """A finished take that can be heard."""

    id: uuid.UUID
    take: int
    side: int
    seed: int
    adapter_id: uuid.UUID | None
    stream_url: str
    duration_seconds: float


class JobOut(WireModel):
    """A generation job. Of two answers about one job, the one with the higher `sequence` is newer."""

    model_config = ConfigDict(json_schema_extra={"examples": [JOB_OUT]})

    id: uuid.UUID
    status: Status
    progress: float = Field(
        description="0 to 1, in steps of a hundredth or more; 1 when all takes are rendered."
    )
    stage: str = Field(description="What is done now, in a word.")
    frames_done: int
    frames_total: int = Field(description="Codec frames of all takes together.")
    position: int | None = Field(description="While it waits: 1 is next.")
    eta_seconds: float | None = Field(description="Estimated time to its end; null where nothing is known.")
    sequence: int = Field(
        description="Grows with every change of status, stage, error or takes, and with progress."
    )
    attempts: int
    error: JobError | None = Field(
        description="Why it failed, or why it waits for another attempt; its takes tell more."
    )
    prompt_id: uuid.UUID
    sentence: str = Field(description="What the model reads.")
    model: str
    notice: str | None = Field(description="What a listener must know of the model, if anything.")
    priority: int
    num_samples: int
    sides: list[list[AdapterChoice]]
    generation_params: ResolvedParams
    from_sample: uuid.UUID | None = Field(
        description="The sample that it makes again, if any; stays when that is deleted."
    )
    takes: list[TakeOut]
    samples: list[JobSampleOut]
    retry_of: uuid.UUID | None
    user_id: uuid.UUID | None
    created_at: dt.datetime
    started_at: dt.datetime | None
    finished_at: dt.datetime | None


class Cancelled(WireModel):
    """The answer to a cancel."""

    model_config = ConfigDict(json_schema_extra={"examples": [CANCELLED]})

    changed: bool = Field(description="False when the job was over already.")
    message: str
    job: JobOut
