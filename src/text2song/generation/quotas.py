"""Each person's share of the machine: jobs that wait, minutes of audio in a day, bytes that are kept."""

import datetime as dt
import uuid
from typing import Final

from sqlalchemy import func, select

from text2song.audio.tables import AudioSample
from text2song.errors import QuotaExceeded
from text2song.generation.tables import GenerationJob, UsedSeconds
from text2song.jobs.columns import JobStatus
from text2song.studio import Work
from text2song.users.tables import User

DAY: Final = dt.timedelta(days=1)
BYTES_A_SECOND: Final = 64_000
"""What a second of audio may need: 32 kHz, one channel of 16 bits, before FLAC makes it smaller."""
_SLACK: Final = dt.timedelta(hours=1)
"""How far clocks of several machines may be apart."""


def require_share(work: Work, user_id: uuid.UUID | None, *, seconds: float) -> None:
    """Check that a job of so many seconds of audio is within its owner's shares; nobody's has none.

    Raises:
        QuotaExceeded: with the share that is used up, and how to get on.
    """
    if user_id is None:
        return
    # the row is locked, or two requests at the same time could both be the last one that fits
    user = work.session.get_one(User, user_id, with_for_update={"key_share": True})
    settings = work.settings
    queued_limit = _limit(user.max_queued_jobs, settings.quota_queued_jobs)
    minutes_limit = _limit(user.max_minutes_a_day, settings.quota_minutes_a_day)
    bytes_limit = _limit(user.max_storage_bytes, settings.quota_storage_bytes)
    if queued_limit is not None and _queued(work, user_id) >= queued_limit:
        raise QuotaExceeded(
            f"{_count(queued_limit, 'job')} of yours may wait at once, and as many do: wait until one is "
            "done, or cancel one."
        )
    if minutes_limit is not None and _seconds_today(work, user_id) + seconds > minutes_limit * 60:
        raise QuotaExceeded(
            f"you may ask for {_count(minutes_limit, 'minute')} of audio in 24 hours, and this would be "
            "more: ask for less, or come back later."
        )
    if bytes_limit is not None and _bytes_kept(work, user_id) + _bytes_to_come(work, user_id) >= bytes_limit:
        raise QuotaExceeded(
            f"your takes, and those that you wait for, fill your share of {bytes_limit:,} bytes: delete some "
            "(DELETE /audio/{id}), or cancel a job."
        )


def _limit(own: int | None, usual: int | None) -> int | None:
    return usual if own is None else own


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _queued(work: Work, user_id: uuid.UUID) -> int:
    waiting = select(func.count()).where(
        GenerationJob.status == JobStatus.QUEUED, GenerationJob.user_id == user_id
    )
    return work.session.scalar(waiting) or 0


def _seconds_today(work: Work, user_id: uuid.UUID) -> float:
    """Of all jobs but those that were cancelled before anything was made of them; also of deleted ones."""
    since = work.clock() - DAY
    of_jobs = select(func.sum(GenerationJob.cost)).where(
        GenerationJob.user_id == user_id,
        GenerationJob.id
        >= _earliest_id(since - _SLACK),  # a walk over the day's jobs, not over all of theirs
        GenerationJob.created_at > since,
        (GenerationJob.status != JobStatus.CANCELLED) | GenerationJob.started_at.is_not(None),
    )
    of_deleted = select(func.sum(UsedSeconds.seconds)).where(
        UsedSeconds.user_id == user_id, UsedSeconds.asked_at > since
    )
    # in one statement: a job that is deleted between two of them would be in neither
    both = (func.coalesce(part.scalar_subquery(), 0.0) for part in (of_jobs, of_deleted))
    return float(sum(work.session.execute(select(*both)).one()))


def _bytes_kept(work: Work, user_id: uuid.UUID) -> int:
    kept = select(func.sum(AudioSample.size_bytes)).where(AudioSample.user_id == user_id)
    return int(work.session.scalar(kept) or 0)


def _bytes_to_come(work: Work, user_id: uuid.UUID) -> int:
    """Of the jobs that wait or run, so that a long queue does not outrun the share."""
    is_open = GenerationJob.status.in_([JobStatus.QUEUED, JobStatus.RUNNING])
    seconds = select(func.sum(GenerationJob.cost)).where(is_open, GenerationJob.user_id == user_id)
    return int((work.session.scalar(seconds) or 0.0) * BYTES_A_SECOND)


def _earliest_id(moment: dt.datetime) -> uuid.UUID:
    """The smallest UUIDv7 (RFC 9562, section 5.7) that can have been drawn at that moment: its time alone."""
    return uuid.UUID(int=int(moment.timestamp() * 1000) << 80)
