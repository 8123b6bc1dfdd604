"""The thread queue: one machine needs no broker."""

import threading
import time
from collections.abc import Callable, Iterable
from functools import partial

import structlog

from text2song.jobs.runner import Runner

log = structlog.get_logger(__name__)


class ThreadQueue:
    """A doorbell for workers in the same process: one thread for each kind of job.

    Before `start`, and for kinds that nobody here works on, a bell is forgotten: the sweep of
    whoever does that work rings it again.
    """

    def __init__(self) -> None:
        self._bells: dict[str, threading.Event] = {}
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()

    def ring(self, kind: str) -> None:
        """Wake the thread of this kind."""
        bell = self._bells.get(kind)
        if bell is not None:
            bell.set()

    def start(
        self, runner: Runner, *, sweep_seconds: float, rounds: Iterable[Callable[[], None]] = ()
    ) -> None:
        """Work in the background; `rounds` are done at every sweep besides."""
        for kind in runner.kinds:
            bell = self._bells.setdefault(kind, threading.Event())
            bell.set()  # whatever waited before this process began
            self._spawn(f"{kind} worker", partial(self._work, runner, kind, bell))
        chores = (runner.sweep, *rounds)
        self._spawn("sweep", partial(self._sweep, chores, sweep_seconds))

    def stop(self, runner: Runner, *, timeout_seconds: float = 30.0) -> None:
        """End the threads; what runs is handed back to the queue.

        A thread that is not done in time is left to itself: its leases run out, and others take over.
        """
        runner.stop()
        self._stopping.set()
        for bell in self._bells.values():
            bell.set()
        until = time.monotonic() + timeout_seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                log.warning("thread did not end in time", thread=thread.name)

    def _spawn(self, name: str, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self, runner: Runner, kind: str, bell: threading.Event) -> None:
        while not self._stopping.is_set():
            bell.wait()
            bell.clear()
            _survive(partial(runner.run, kind))

    def _sweep(self, chores: Iterable[Callable[[], None]], sweep_seconds: float) -> None:
        while True:
            for chore in chores:
                _survive(chore)
            if self._stopping.wait(sweep_seconds):
                return


def _survive(act: Callable[[], None]) -> None:
    try:
        act()
    except Exception as error:  # a database out of reach must not end the thread: the sweep tries again
        log.exception("background work failed", error=str(error))
