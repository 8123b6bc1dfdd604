"""A worker's life: load the model, announce it, work, hand back what is unfinished, leave."""

import os
import socket
import time
import uuid
from collections.abc import Iterator
from itertools import chain
from typing import Final

import structlog

from text2song.audio import cleaning
from text2song.generation import retention
from text2song.generation.tables import KIND
from text2song.jobs.runner import Pace, Runner
from text2song.jobs.threads import ThreadQueue
from text2song.models import service as models
from text2song.studio import Studio
from text2song.worker.handlers import GenerationHandler, generation_handler

log = structlog.get_logger(__name__)

STOP_SECONDS: Final = 20.0
"""How long a stopping worker may take to come to the next frame and hand its jobs back."""
SEARCH_SECONDS: Final = 3600.0
"""How often a worker looks for what is to be kept no longer, and for bytes that a killed process left."""


class Worker:
    """Serves one model with the threads of a `ThreadQueue`."""

    def __init__(self, studio: Studio, queue: ThreadQueue) -> None:
        self._studio = studio
        self._queue = queue
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._started: tuple[Runner, GenerationHandler, uuid.UUID] | None = None
        self._search: Iterator[int] | None = None
        self._next_search_at = time.monotonic()

    def start(self) -> None:
        """Load the model, announce it, and begin to work in the background.

        Raises:
            ModelError: when the model cannot be loaded.
        """
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

    def stop(self) -> None:
        """Hand unfinished jobs back and leave."""
        if self._started is None:
            return
        runner, _, worker_id = self._started
        self._queue.stop(runner, timeout_seconds=STOP_SECONDS)
        with self._studio.work() as work:
            models.leave(work, worker_id)

    def _announce(self, handler: GenerationHandler) -> uuid.UUID:
        with self._studio.work() as work:
            info = handler.model.info
            return models.announce(work, info, worker=self._name, capacity=handler.capacity)

    def _beat(self) -> None:
        if self._started is not None:
            runner, handler, worker_id = self._started
            with self._studio.work() as work:
                is_known = models.beat(work, worker_id, speed=handler.speed)
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
