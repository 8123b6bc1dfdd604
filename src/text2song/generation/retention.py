"""What is kept for a while only, where the settings say so: finished jobs, and samples that nothing needs.

Both are off unless somebody sets them. A sample that something immutable was built on stays, whatever its
age; the database itself says what that is, by the foreign keys that lead to it. What deleted jobs have used
of a day's share goes once the day is over, whatever is set.
"""

import datetime as dt
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
import structlog
from sqlalchemy import ColumnElement, Select, func, select

from text2song.audio.tables import AudioSample
from text2song.db import registry
from text2song.errors import InUse, NotFound
from text2song.generation import deletion
from text2song.generation.quotas import DAY
from text2song.generation.tables import GenerationJob, UsedSeconds
from text2song.jobs.columns import FINAL
from text2song.studio import Reader, Studio

log = structlog.get_logger(__name__)

PIECE_LIMIT: Final = 100
"""Rows that one step looks at."""
WEAK: Final = frozenset({"CASCADE", "SET NULL"})
"""A key that gives way needs nothing."""


@dataclass(frozen=True, slots=True)
class Expired:
    """What is older than it is to be kept."""

    jobs: int = 0
    samples: int = 0
    sample_bytes: int = 0
    """Of their sound files."""


def count(reader: Reader) -> Expired:
    """What `retire` would take away now."""
    jobs, samples = _jobs(reader), _samples(reader)
    found, size_bytes = 0, 0
    if samples is not None:
        sizes = samples.with_only_columns(func.count(), func.sum(AudioSample.size_bytes))
        found, size_bytes = reader.session.execute(sizes).one()
    old = reader.session.scalar(jobs.with_only_columns(func.count())) if jobs is not None else 0
    return Expired(jobs=old or 0, samples=found, sample_bytes=int(size_bytes or 0))


def retire(studio: Studio) -> Iterator[int]:
    """Delete what is older than it is to be kept; each step looks at no more than `PIECE_LIMIT` rows.

    Answers at each step how many went. No unit is open between the steps, and none is longer than the
    deletion of one piece of jobs or one sample. The bytes of samples go by `audio.cleaning`.
    """
    yield from _retire_jobs(studio)
    yield from _retire_samples(studio)
    yield from _retire_used_seconds(studio)


def _retire_jobs(studio: Studio) -> Iterator[int]:
    for ids in _pieces(studio, _jobs, GenerationJob.id):
        with studio.work() as work:
            deletion.delete_jobs(work, GenerationJob.id.in_(ids))
        log.info("finished jobs are no longer kept", jobs=len(ids))
        yield len(ids)


def _retire_samples(studio: Studio) -> Iterator[int]:
    for ids in _pieces(studio, _samples, AudioSample.id):
        gone = sum(_retire_sample(studio, audio_id) for audio_id in ids)
        log.info("samples are no longer kept", samples=gone)
        yield gone


def _retire_used_seconds(studio: Studio) -> Iterator[int]:
    for ids in _pieces(studio, _used_seconds, UsedSeconds.id):
        with studio.work() as work:
            work.session.execute(sa.delete(UsedSeconds).where(UsedSeconds.id.in_(ids)))
        yield len(ids)


def _pieces(
    studio: Studio,
    expired: Callable[[Reader], Select[Any] | None],
    column: sa.orm.InstrumentedAttribute[uuid.UUID],
) -> Iterator[Sequence[uuid.UUID]]:
    """The ids of what is to go, from the oldest on; each look begins behind the one before it."""
    last = uuid.UUID(int=0)
    while True:
        with studio.read() as reader:
            query = expired(reader)
            if query is None:
                return
            piece = query.where(column > last).order_by(column).limit(PIECE_LIMIT)
            ids = reader.session.scalars(piece).all()
        if not ids:
            return
        last = ids[-1]
        yield ids


def _retire_sample(studio: Studio, audio_id: uuid.UUID) -> bool:
    try:
        with studio.work() as work:
            deletion.retire_sample(work, audio_id)
    except (InUse, NotFound):  # something was built on it in this very moment, or it is gone already
        return False
    return True


def _jobs(reader: Reader) -> Select[Any] | None:
    days = reader.settings.keep_finished_jobs_days
    if days is None:
        return None
    is_old = GenerationJob.finished_at <= reader.clock() - dt.timedelta(days=days)
    return select(GenerationJob.id).where(GenerationJob.status.in_(FINAL), is_old)


def _used_seconds(reader: Reader) -> Select[Any]:
    return select(UsedSeconds.id).where(UsedSeconds.asked_at <= reader.clock() - DAY)


def _samples(reader: Reader) -> Select[Any] | None:
    days = reader.settings.keep_samples_days
    if days is None:
        return None
    is_old = AudioSample.created_at <= reader.clock() - dt.timedelta(days=days)
    return select(AudioSample.id).where(is_old, *map(_is_absent, strong_references(registry.metadata())))


def strong_references(tables: sa.MetaData) -> list[sa.Column[Any]]:
    """The columns by which something needs a sample."""
    return [
        key.parent
        for table in tables.sorted_tables
        for key in table.foreign_keys
        if key.column is AudioSample.__table__.c.id and key.ondelete not in WEAK
    ]


def _is_absent(reference: sa.Column[Any]) -> ColumnElement[bool]:
    return ~sa.exists().where(reference == AudioSample.id)
