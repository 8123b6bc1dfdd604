"""A worker's life: load the model, announce it, work, hand back what is unfinished, leave."""

import os
import socket
import time
import uuid
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

import structlog

from text2song.audio import cleaning
from text2song.errors import InvalidSetting, UnexpectedFailure
from text2song.generation import retention
from text2song.generation.tables import KIND
from text2song.jobs.hosting import WorkerQueue
from text2song.jobs.runner import Runner
from text2song.jobs.shift import Pace
from text2song.models import service as models
from text2song.studio import Studio
from text2song.worker.handlers import GenerationHandler, generation_handler

log = structlog.get_logger(__name__)

KINDS: Final = (KIND,)
"""What this version knows to do."""
HEALTHY_SECONDS: Final = 30.0
"""A worker that could not tell the database of itself for longer is not healthy."""
SEARCH_SECONDS: Final = 3600.0
"""How often a worker looks for what is to be kept no longer, and for bytes that a killed process left."""


class Worker:
    """Serves one model, woken by a queue."""

    def __init__(self, studio: Studio, queue: WorkerQueue) -> None:
        self._studio = studio
        self._queue = queue
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._started: tuple[Runner, GenerationHandler, uuid.UUID] | None = None
        self._search: Iterator[int] | None = None
        self._next_search_at = time.monotonic()
        self._heard_at = -HEALTHY_SECONDS

    def start(self) -> None:
        """Load the model, announce it, and begin to work in the background.

        Raises:
            InvalidSetting: for a kind of work that this version does not know.
            ModelError: when the model cannot be loaded.
        """
        _require_known(self._studio.settings.queues)
        handler = generation_handler(self._studio)
        worker_id = self._announce(handler)
        settings = self._studio.settings
        runner = Runner(
            self._studio.work,
            self._queue,
            {KIND: handler},
            worker=self._name,
            pace=Pace(settings.lease_seconds, settings.beat_seconds, settings.slice_seconds),
        )
        self._started = (runner, handler, worker_id)
        self._queue.start(
            runner, sweep_seconds=settings.sweep_seconds, rounds=(self._beat, self._reap, self._search_on)
        )
        log.info("worker ready", model=handler.model.info.id, capacity=handler.capacity)

    @property
    def is_healthy(self) -> bool:
        """Whether the database heard of this worker lately."""
        return time.monotonic() - self._heard_at < HEALTHY_SECONDS

    def require_alive(self) -> None:
        """Every thread still runs.

        Raises:
            UnexpectedFailure: one ended by itself; only a new process helps.
        """
        if not self._queue.is_alive:
            raise UnexpectedFailure(
                "a thread of the worker ended by itself: its log says why. Start it again."
            )

    def stop(self, *, drain_seconds: float = 0.0) -> None:
        """Give what runs that long to end, hand back the rest, and leave."""
        if self._started is None:
            return
        runner, _, worker_id = self._started
        self._queue.stop(runner, drain_seconds=drain_seconds)
        with self._studio.work() as work:
            models.leave(work, worker_id)

    def _announce(self, handler: GenerationHandler) -> uuid.UUID:
        with self._studio.work() as work:
            info = handler.model.info
            worker_id = models.announce(work, info, worker=self._name, capacity=handler.capacity)
        self._heard_at = time.monotonic()
        return worker_id

    def _beat(self) -> None:
        if self._started is not None:
            runner, handler, worker_id = self._started
            with self._studio.work() as work:
                is_known = models.beat(work, worker_id, speed=handler.speed)
            self._heard_at = time.monotonic()
            if not is_known:  # this machine slept for so long that others forgot the worker
                self._started = (runner, handler, self._announce(handler))

    def _reap(self) -> None:
        cleaning.reap(self._studio)

    def _search_on(self) -> None:
        """One step of the search at each round, so that no round takes long."""
        if self._search is None:
            if time.monotonic() < self._next_search_at:
                return
            self._search = chain(retention.retire(self._studio), cleaning.doom_orphans(self._studio))
        if next(self._search, None) is None:
            self._search = None
            self._next_search_at = time.monotonic() + SEARCH_SECONDS


def _require_known(kinds: Sequence[str]) -> None:
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise InvalidSetting(
            f"TEXT2SONG_QUEUES names {unknown[0]!r}, which is no work that this version does; it does "
            f"{', '.join(KINDS)}.",
            field="TEXT2SONG_QUEUES",
        )
