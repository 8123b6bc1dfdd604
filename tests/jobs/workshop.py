"""A handler for tests that does as it is told, and a runner for it over a real studio."""

import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, select, true

from tests.rows import add_prompt, job_of
from tests.studios import ListeningQueue
from text2song.generation.tables import KIND, GenerationJob
from text2song.jobs import lifecycle
from text2song.jobs.leases import Leases
from text2song.jobs.lifecycle import Claim
from text2song.jobs.queue import JobQueue
from text2song.jobs.runner import Handler, Runner
from text2song.jobs.shift import Pace, Roster, Shift
from text2song.studio import Studio

PACE = Pace(lease_seconds=15.0, beat_seconds=0.02, slice_seconds=60.0)
NOBODY_ELSE: Mapping[str, "Workshop"] = MappingProxyType({})
Act = Callable[["Workshop", Sequence[Claim], Shift], None]


def finish_all(shop: "Workshop", claims: Sequence[Claim], shift: Shift) -> None:
    """What a good handler does."""
    for claim in claims:
        with shop.studio.work() as work:
            lifecycle.finish(work.session, GenerationJob, claim, now=work.clock())
        shift.drop(claim)


@dataclass
class Workshop:
    """The handler: takes up as many jobs as it has room for, and acts; `batches` says which they were."""

    studio: Studio
    act: Act = finish_all
    capacity: int = 8
    table: type[GenerationJob] = GenerationJob
    where: ColumnElement[bool] = field(default_factory=true)
    batches: list[list[uuid.UUID]] = field(default_factory=list)

    def accepts(self) -> ColumnElement[bool]:
        return self.where

    def run(self, shift: Shift) -> None:
        claims: list[Claim] = []
        while len(claims) < self.capacity and (claim := shift.next_turn()) is not None:
            claims.append(claim)
        if claims:
            self.batches.append([claim.job_id for claim in claims])
            self.act(self, claims, shift)

    def runner(
        self,
        *,
        queue: JobQueue | None = None,
        pace: Pace = PACE,
        others: Mapping[str, "Workshop"] = NOBODY_ELSE,
    ) -> Runner:
        """For this shop, and for others by their kinds."""
        handlers = {KIND: self, **others}
        return Runner(self.studio.work, queue or ListeningQueue(), handlers, worker="test worker", pace=pace)


def shift_of(
    studio: Studio,
    handler: Handler,
    *,
    leases: Leases,
    pace: Pace = PACE,
    is_leaving: Callable[[], bool] = lambda: False,
    is_stopping: Callable[[], bool] = lambda: False,
) -> Shift:
    """One in which a handler can be put to work without a runner; what is in hand at the end stays so."""
    roster = Roster("test worker", pace, is_leaving, is_stopping, is_awaited=lambda: False)
    return Shift(studio.work, handler.table, handler.accepts, leases=leases, roster=roster)


def submit(studio: Studio, *jobs: dict[str, Any]) -> list[uuid.UUID]:
    """Jobs with these columns, by age."""
    with studio.work() as work:
        prompt_id = add_prompt(work.session)
        made = [job_of(prompt_id, **columns) for columns in jobs]
        work.session.add_all(made)
        work.session.flush()
        return [job.id for job in made]


def jobs_of(studio: Studio) -> list[GenerationJob]:
    """All jobs, by age."""
    with studio.read() as reader:
        return list(reader.session.scalars(select(GenerationJob).order_by(GenerationJob.id)))


def statuses(studio: Studio) -> list[str]:
    """Of all jobs, by age."""
    return [job.status for job in jobs_of(studio)]


def wait_until(is_so: Callable[[], bool], *, limit_seconds: float = 20, look_seconds: float = 0.005) -> None:
    """Until something that happens in another thread or process is so."""
    until = time.monotonic() + limit_seconds
    while not is_so():
        assert time.monotonic() < until, "it never came"
        time.sleep(look_seconds)


def names_of_threads() -> set[str]:
    """Of those that live now."""
    return {thread.name for thread in threading.enumerate()}
