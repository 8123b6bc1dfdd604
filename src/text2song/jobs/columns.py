"""The columns that every kind of job has: the row is the job.

queued ──claim──> running ──finish──> succeeded
  ^  │               │ └────fail────> failed
  │  └────cancel─────┼──────────────> cancelled
  └──lease ran out, or a failure that may pass──┘
"""

import datetime as dt
import uuid
from enum import StrEnum
from typing import Any, ClassVar, Final

from sqlalchemy import ForeignKey, FromClause, Index, String, Text, text
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from text2song import traces
from text2song.db.base import Base, Identified


class JobStatus(StrEnum):
    """The states of a job, and of each take of it."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL: Final = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED})


class JobColumns(Identified):
    """A mixin for a table of jobs."""

    __tablename__: str
    __table__: ClassVar[FromClause]

    status: Mapped[str] = mapped_column(String(16), default=JobStatus.QUEUED)
    priority: Mapped[int] = mapped_column(default=0)
    """-10 to 10; higher is served first."""
    turn_key: Mapped[str] = mapped_column(String(64), default="")
    """Who shares the machine fairly: the user's id, or empty where there are no users."""
    rows: Mapped[int] = mapped_column(default=1)
    """Of a batch, that the job still needs: what has an end counts no more."""
    rows_begun: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    """How many of them a worker has in the making."""
    cost: Mapped[float] = mapped_column(default=0.0)
    """How long the work is, in the unit of its kind (generation: seconds of audio)."""

    sequence: Mapped[int] = mapped_column(default=1)
    """Grows at every visible change; an answer with a smaller one is older. Progress is written, and
    so is visible, in steps: see `leases.PROGRESS_STEP`."""
    progress: Mapped[float] = mapped_column(default=0.0)
    """A fraction. Within one attempt it only grows; while the job waits for another attempt it stands
    still, and the new attempt begins at what was kept, which is less if takes were lost half-made."""
    stage: Mapped[str] = mapped_column(String(32), default="waiting")
    error_code: Mapped[str | None] = mapped_column(String(64))
    """Of the last attempt that ended in an error; none once the job succeeded."""
    error_message: Mapped[str | None] = mapped_column(Text)

    attempts: Mapped[int] = mapped_column(default=0)
    """Times that a worker began."""
    failures: Mapped[int] = mapped_column(default=0)
    """Attempts that ended in an error which may pass."""
    lost_leases: Mapped[int] = mapped_column(default=0)
    """Attempts whose worker fell silent."""
    not_before: Mapped[dt.datetime | None]
    """A failed job waits until then for its next attempt."""

    claim_token: Mapped[uuid.UUID | None]
    """Whoever holds it may write; nobody else can."""
    claimed_by: Mapped[str | None] = mapped_column(String(128))
    claimed_at: Mapped[dt.datetime | None]
    """When a row of it last began: its user was served then."""
    lease_renewed_at: Mapped[dt.datetime | None]
    """By the studio's clock; how long its leases are is for each worker to say."""
    lease_expires_at: Mapped[dt.datetime | None]

    trace_parent: Mapped[str | None] = mapped_column(String(traces.PARENT_LENGTH), default=traces.parent)
    """Where traces are sent: the span of the request that asked for it."""

    created_at: Mapped[dt.datetime]
    started_at: Mapped[dt.datetime | None]
    finished_at: Mapped[dt.datetime | None]

    @declared_attr
    @classmethod
    def user_id(cls) -> Mapped[uuid.UUID | None]:
        """Who asked for it."""
        return mapped_column(ForeignKey("users.id"))

    @declared_attr
    @classmethod
    def retry_of(cls) -> Mapped[uuid.UUID | None]:
        """The job that this one tries again, by hand."""
        return mapped_column(ForeignKey(f"{cls.__tablename__}.id", ondelete="SET NULL"), index=True)

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[Any, ...]:
        """Indexes for the claim, for turns, and for lists of one status.

        None holds what a beat writes: PostgreSQL then leaves all of them alone at each beat.
        """
        return (
            Index(None, "status", "priority", "id"),
            Index(None, "turn_key", "claimed_at"),
            Index(None, "status", "id"),
        )

    @property
    def is_final(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in FINAL


def job_tables() -> list[type[JobColumns]]:
    """Every table of jobs that was imported; `db.registry` imports all."""
    mapped = (mapper.class_ for mapper in Base.registry.mappers)
    return [table for table in mapped if issubclass(table, JobColumns)]
