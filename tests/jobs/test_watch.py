import asyncio
import threading
import uuid
from collections.abc import Collection, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
from structlog.testing import capture_logs

from tests.figures import RecordFigure
from text2song.db.base import new_id
from text2song.jobs import watch as watching
from text2song.jobs.watch import Watcher

TICK_SECONDS = 0.02
T = TypeVar("T")


@dataclass
class Jobs:
    """What the database would say, and how often it was asked."""

    states: dict[uuid.UUID, int] = field(default_factory=dict)
    reads: list[int] = field(default_factory=list)
    """How many jobs each read was about."""
    error: Exception | None = None
    threads: set[str] = field(default_factory=set)

    def add(self, sequence: int = 1) -> uuid.UUID:
        job_id = new_id()
        self.states[job_id] = sequence
        return job_id

    def read(self, job_ids: Collection[uuid.UUID]) -> Mapping[uuid.UUID, int]:
        self.reads.append(len(job_ids))
        self.threads.add(threading.current_thread().name)
        if self.error is not None:
            raise self.error
        return {job_id: self.states[job_id] for job_id in job_ids if job_id in self.states}

    async def wait_for_reads(self, count: int) -> None:
        target = len(self.reads) + count
        async with asyncio.timeout(20):
            while len(self.reads) < target:  # noqa: ASYNC110  # reads happen in another thread
                await asyncio.sleep(0.001)


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


@pytest.fixture
def watcher(jobs: Jobs) -> Watcher:
    return Watcher(jobs.read, tick_seconds=TICK_SECONDS)


def run(story: Coroutine[object, object, T]) -> T:
    """Run it on a loop of its own, and see that no task is left."""

    async def whole() -> T:
        answer = await story
        await asyncio.sleep(TICK_SECONDS * 3)  # the last tick may end
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert left == []
        return answer

    return asyncio.run(whole())


def test_news_wakes_and_nothing_else_does(jobs: Jobs, watcher: Watcher) -> None:
    async def story() -> tuple[bool, bool]:
        job_id, other = jobs.add(3), jobs.add(3)
        waiting = asyncio.create_task(watcher.changed({job_id: 3}, timeout_seconds=30))
        await jobs.wait_for_reads(2)
        jobs.states[other] = 9
        await jobs.wait_for_reads(2)
        was_done_too_early = waiting.done()
        jobs.states[job_id] = 4
        return was_done_too_early, await waiting

    assert run(story()) == (False, True)


@pytest.mark.parametrize(
    ("state", "since"),
    [(5, 4), (None, 0)],
    ids=["news from before", "unknown"],
)
def test_there_is_no_waiting_for_what_is_known_already(
    jobs: Jobs, watcher: Watcher, state: int | None, since: int
) -> None:
    job_id = new_id()
    if state is not None:
        jobs.states[job_id] = state
    assert run(watcher.changed({job_id: since}, timeout_seconds=30))
    assert len(jobs.reads) == 1


def test_one_of_many_is_enough(jobs: Jobs, watcher: Watcher) -> None:
    async def story() -> bool:
        ids = [jobs.add() for _ in range(5)]
        waiting = asyncio.create_task(watcher.changed(dict.fromkeys(ids, 1), timeout_seconds=30))
        await jobs.wait_for_reads(1)
        jobs.states[ids[3]] = 2
        return await waiting

    assert run(story())


def test_time_runs_out(jobs: Jobs, watcher: Watcher) -> None:
    assert not run(watcher.changed({jobs.add(): 1}, timeout_seconds=0.05))


def test_five_hundred_who_wait_cost_one_read_a_tick(
    jobs: Jobs, watcher: Watcher, record_figure: RecordFigure
) -> None:
    async def story() -> list[bool]:
        ids = [jobs.add() for _ in range(500)]
        waiting = [asyncio.create_task(watcher.changed({i: 1}, timeout_seconds=30)) for i in ids]
        await jobs.wait_for_reads(3)
        assert set(jobs.reads[1:]) == {500}  # each read is about all of them
        assert len(watcher._waiters) == 500
        for job_id in ids:
            jobs.states[job_id] = 2
        before = len(jobs.reads)
        answers = await asyncio.gather(*waiting)
        record_figure("reads until 500 who wait have heard the news", len(jobs.reads) - before, "reads")
        assert len(jobs.reads) - before <= 2
        return answers

    assert run(story()) == [True] * 500
    assert "MainThread" not in jobs.threads  # the event loop never waits for the database


def test_more_jobs_than_one_statement_takes_are_read_in_parts(
    jobs: Jobs, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "IDS_AT_ONCE", 100)
    ids = [jobs.add() for _ in range(250)]
    jobs.states[max(ids)] = 2
    assert run(watcher.changed(dict.fromkeys(ids, 1), timeout_seconds=30))
    assert jobs.reads == [100, 100, 50]


def test_a_read_that_fails_wakes_all_and_the_next_wait_begins_anew(jobs: Jobs, watcher: Watcher) -> None:
    async def story() -> tuple[list[bool], bool]:
        ids = [jobs.add() for _ in range(3)]
        waiting = [asyncio.create_task(watcher.changed({i: 1}, timeout_seconds=30)) for i in ids]
        await jobs.wait_for_reads(1)
        jobs.error = OSError("the disk is gone")
        woken = await asyncio.gather(*waiting)
        jobs.error = None
        again = asyncio.create_task(watcher.changed({ids[0]: 1}, timeout_seconds=30))
        await jobs.wait_for_reads(1)
        jobs.states[ids[0]] = 2
        return woken, await again

    with capture_logs() as lines:
        assert run(story()) == ([True] * 3, True)
    assert [(line["log_level"], line["error"]) for line in lines] == [("warning", "the disk is gone")]


def test_a_client_that_goes_away_leaves_nothing_behind(jobs: Jobs, watcher: Watcher) -> None:
    async def story() -> None:
        kept, gone = jobs.add(), jobs.add()
        waits = asyncio.create_task(watcher.changed({kept: 1}, timeout_seconds=30))
        goes = asyncio.create_task(watcher.changed({gone: 1}, timeout_seconds=30))
        await jobs.wait_for_reads(2)
        goes.cancel()
        with pytest.raises(asyncio.CancelledError):
            await goes
        await jobs.wait_for_reads(2)
        assert jobs.reads[-1] == 1  # only the one who still waits
        waits.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waits
        assert watcher._waiters == set()
        await asyncio.sleep(TICK_SECONDS * 3)
        assert watcher._ticking is None
        quiet = len(jobs.reads)
        await asyncio.sleep(TICK_SECONDS * 3)
        assert len(jobs.reads) == quiet  # and nobody reads when nobody waits

    run(story())


def test_who_comes_while_others_wait_shares_their_reads(jobs: Jobs, watcher: Watcher) -> None:
    async def story() -> None:
        first, second = jobs.add(), jobs.add()
        waiting = [asyncio.create_task(watcher.changed({first: 1}, timeout_seconds=30))]
        await jobs.wait_for_reads(2)
        waiting.append(asyncio.create_task(watcher.changed({second: 1, first: 1}, timeout_seconds=30)))
        await jobs.wait_for_reads(2)
        assert jobs.reads[-1] == 2  # each job once
        jobs.states[second] = 2
        assert await waiting[1]
        assert not waiting[0].done()
        jobs.states[first] = 2
        assert await waiting[0]

    run(story())
