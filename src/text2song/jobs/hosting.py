"""What every queue needs to host a runner: threads that outlive errors, and an end in good order."""

import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, Protocol

import structlog

from text2song.errors import StudioError
from text2song.jobs.queue import JobQueue
from text2song.jobs.runner import Runner

log = structlog.get_logger(__name__)

STOP_SECONDS: Final = 20.0
"""How long a thread may take to come to the next frame and hand its jobs back."""

Chore = Callable[[], object]


class WorkerQueue(JobQueue, Protocol):
    """A queue whose bells a worker in this process can hear."""

    def start(self, runner: Runner, *, sweep_seconds: float, rounds: Iterable[Chore] = ()) -> None:
        """Work in the background; `rounds` are done at every sweep besides."""
        ...

    def stop(
        self, runner: Runner, *, drain_seconds: float = 0.0, timeout_seconds: float = STOP_SECONDS
    ) -> None:
        """Claim no more, give what runs `drain_seconds` to end, hand the rest back, and end the threads.

        A thread that is not done in time is left to itself: its leases run out, and others take over.
        """
        ...

    @property
    def is_alive(self) -> bool:
        """Whether every thread that was started still runs."""
        ...

    def close(self) -> None:
        """Send what was rung, and let go of the connection, if there is one."""
        ...


class Crew:
    """The threads of one worker."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._leaving = threading.Event()

    @property
    def is_leaving(self) -> bool:
        """Whether the worker is to end."""
        return self._leaving.is_set()

    @property
    def is_alive(self) -> bool:
        """Whether every thread still runs."""
        return all(thread.is_alive() for thread in self._threads)

    def spawn(self, name: str, target: Callable[[], None]) -> None:
        """A thread that ends by itself once the worker is to end."""
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def repeat(self, name: str, chores: Iterable[Chore], *, every_seconds: float) -> None:
        """A thread that does all chores, waits, and does them again."""
        self.spawn(name, partial(self._repeat, tuple(chores), every_seconds))

    def leave(self, runner: Runner) -> None:
        """Begin the end: nothing more is claimed."""
        runner.leave()
        self._leaving.set()

    def end(self, runner: Runner, *, drain_seconds: float, timeout_seconds: float) -> None:
        """Wait for the threads; what still runs after `drain_seconds` is handed back."""
        if self._still_running(drain_seconds):
            runner.stop()
        for thread in self._still_running(timeout_seconds):
            log.warning("thread did not end in time", thread=thread.name)

    def _still_running(self, seconds: float) -> list[threading.Thread]:
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return [thread for thread in self._threads if thread.is_alive()]

    def _repeat(self, chores: tuple[Chore, ...], every_seconds: float) -> None:
        while True:
            for chore in chores:
                survive(chore)
            if self._leaving.wait(every_seconds):
                return


def survive(act: Chore) -> None:
    """Do it, whatever comes of it: a database out of reach must not end a thread, the sweep tries again."""
    try:
        act()
    except StudioError as error:
        log.warning("background work failed", code=error.code, error=error.message)
    except Exception as error:
        log.exception("background work failed", error=str(error))
