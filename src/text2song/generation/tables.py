"""The tables of generation jobs and their takes."""

import datetime as dt
import uuid
from typing import Any, Final

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from text2song.db.base import Base, Identified, JsonDocument
from text2song.jobs.columns import JobColumns, JobStatus
from text2song.users.ownership import Owned, ownership_indexes

KIND: Final = "generation"
"""The bell that is rung for these jobs."""


class GenerationJob(JobColumns, Owned, Base):
    """One request for takes of one prompt. `cost` is in seconds of audio, `rows` in takes."""

    __tablename__ = "generation_jobs"

    prompt_id: Mapped[uuid.UUID]
    sentence: Mapped[str] = mapped_column(Text)
    model: Mapped[str] = mapped_column(String(200))
    fingerprint: Mapped[str | None] = mapped_column(String(64))
    """Of the only weights that will do, where a take is made again; else any of that model."""
    num_samples: Mapped[int]
    """Takes of each side."""
    sides: Mapped[list[Any]] = mapped_column(JsonDocument)
    """For each side the adapters that act together: `[{adapter_id, name, digest, weight}]`."""
    frames_total: Mapped[int]
    """Codec frames of all takes together."""
    generation_params: Mapped[dict[str, Any]] = mapped_column(JsonDocument)
    """As resolved: nothing is left to a default that might change."""
    from_sample: Mapped[uuid.UUID | None]
    """The sample that it makes again. No foreign key: it stays true when that sample is deleted."""
    idempotency_digest: Mapped[str | None] = mapped_column(String(64), unique=True)
    request_digest: Mapped[str | None] = mapped_column(String(64))

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[Any, ...]:
        """The indexes of every job, and of what belongs to somebody; and the key to the prompt."""
        return (
            *super().__table_args__,
            *ownership_indexes(),
            ForeignKeyConstraint(
                ["prompt_id", "visibility"],
                ["prompts.id", "prompts.visibility"],
                ondelete="CASCADE",
                onupdate="CASCADE",
            ),
        )


# In the order of a page, however long ago the prompt was used.
Index(None, GenerationJob.prompt_id, GenerationJob.id)
Index(None, GenerationJob.prompt_id, GenerationJob.status, GenerationJob.id)
# Of one status, for those who see only their own and what is shared (see `users.ownership.page`).
Index(None, GenerationJob.user_id, GenerationJob.status, GenerationJob.id)
Index(None, GenerationJob.visibility, GenerationJob.status, GenerationJob.id)


class UsedSeconds(Identified, Base):
    """What a deleted job has used of its owner's minutes: it counts until the job would be a day old.

    Its id is the job's, so no job counts twice.
    """

    __tablename__ = "used_seconds"
    __table_args__ = (Index(None, "user_id", "asked_at"),)

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    seconds: Mapped[float]
    """Of audio."""
    asked_at: Mapped[dt.datetime]


class GenerationTake(Identified, Base):
    """One take of a job, with a status of its own: what is finished is kept, whatever its siblings do.

    `queued` until it has an end; that it is running is read off the job.
    """

    __tablename__ = "generation_takes"
    __table_args__ = (UniqueConstraint("job_id", "take"),)

    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("generation_jobs.id", ondelete="CASCADE"))
    take: Mapped[int]
    side: Mapped[int]
    status: Mapped[str] = mapped_column(String(16), default=JobStatus.QUEUED)
    seed: Mapped[int]
    spec: Mapped[dict[str, Any]] = mapped_column(JsonDocument)
    adapter_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("adapters.id"))
    audio_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("audio_samples.id", ondelete="SET NULL"), unique=True
    )
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None] = mapped_column(Text)
    finished_at: Mapped[dt.datetime | None]
