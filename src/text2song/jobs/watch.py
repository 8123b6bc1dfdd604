"""Waiting for jobs to change, without a thread, a connection or a session for each who waits.

All who wait in one process share one short read at each tick: five hundred long polls cost as
much as one.
"""

import asyncio
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog
from anyio import to_thread

log = structlog.get_logger(__name__)

ReadSequences = Callable[[Collection[uuid.UUID]], Mapping[uuid.UUID, int]]
"""For each job that exists: its sequence."""
IDS_AT_ONCE: Final = 10_000
"""SQLite takes 32,766 parameters in one statement."""


@dataclass(eq=False)
class _Waiter:
    since: Mapping[uuid.UUID, int]
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Watcher:
    """One for each process, on its event loop."""

    def __init__(self, read: ReadSequences, *, tick_seconds: float = 0.2) -> None:
        self._read = read
        self._tick_seconds = tick_seconds
        self._waiters: set[_Waiter] = set()
        self._ticking: asyncio.Task[None] | None = None

    async def changed(self, since: Mapping[uuid.UUID, int], *, timeout_seconds: float) -> bool:
        """Wait until one of the jobs has a sequence above its `since`; False when time ran out.

        A job that is gone ends the wait at once. One that is over does not: a follower of several jobs
        would spin, and something of it may still change, such as a sample that somebody deletes.
        """
        waiter = _Waiter(since)
        self._waiters.add(waiter)
        if self._ticking is None:
            self._ticking = asyncio.create_task(self._tick())
        try:
            async with asyncio.timeout(timeout_seconds):
                await waiter.changed.wait()
        except TimeoutError:
            return False
        finally:
            self._waiters.discard(waiter)
        return True

    async def _tick(self) -> None:
        try:
            while self._waiters:
                await self._look(list(self._waiters))
                await asyncio.sleep(self._tick_seconds)
        except Exception as error:  # noqa: BLE001  # whoever waits reads for himself and meets the error
            log.warning("cannot look for news of jobs", error=str(error))
        finally:
            self._ticking = None
            for waiter in self._waiters:
                waiter.changed.set()

    async def _look(self, waiters: Collection[_Waiter]) -> None:
        asked = sorted({job_id for waiter in waiters for job_id in waiter.since})
        known: dict[uuid.UUID, int] = {}
        for start in range(0, len(asked), IDS_AT_ONCE):
            known |= await to_thread.run_sync(self._read, asked[start : start + IDS_AT_ONCE])
        for waiter in waiters:
            if any(_is_news(known.get(job_id), seen) for job_id, seen in waiter.since.items()):
                waiter.changed.set()


def _is_news(sequence: int | None, seen: int) -> bool:
    return sequence is None or sequence > seen
