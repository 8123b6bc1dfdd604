"""The thread queue: one machine needs no broker."""

import threading
from collections.abc import Iterable
from functools import partial

from text2song.jobs.hosting import STOP_SECONDS, Chore, Crew, survive
from text2song.jobs.runner import Runner


class ThreadQueue:
    """A doorbell for workers in the same process: one thread for each kind of job.

    Before `start`, and for kinds that nobody here works on, a bell is forgotten: the sweep of
    whoever does that work rings it again.
    """

    def __init__(self) -> None:
        self._bells: dict[str, threading.Event] = {}
        self._crew = Crew()

    def ring(self, kind: str) -> None:
        """Wake the thread of this kind."""
        bell = self._bells.get(kind)
        if bell is not None:
            bell.set()

    def start(self, runner: Runner, *, sweep_seconds: float, rounds: Iterable[Chore] = ()) -> None:
        """Work in the background; `rounds` are done at every sweep besides."""
        for kind in runner.kinds:
            bell = self._bells.setdefault(kind, threading.Event())
            bell.set()  # whatever waited before this process began
            self._crew.spawn(f"{kind} worker", partial(self._work, runner, kind, bell))
        self._crew.repeat("sweep", (runner.sweep, *rounds), every_seconds=sweep_seconds)

    def stop(
        self, runner: Runner, *, drain_seconds: float = 0.0, timeout_seconds: float = STOP_SECONDS
    ) -> None:
        """Claim no more, give what runs `drain_seconds` to end, hand the rest back, and end the threads."""
        self._crew.leave(runner)
        for bell in self._bells.values():
            bell.set()
        self._crew.end(runner, drain_seconds=drain_seconds, timeout_seconds=timeout_seconds)

    @property
    def is_alive(self) -> bool:
        """Whether every thread that was started still runs."""
        return self._crew.is_alive

    def close(self) -> None:
        """Nothing: there is no connection."""

    def _work(self, runner: Runner, kind: str, bell: threading.Event) -> None:
        while not self._crew.is_leaving:
            bell.wait()
            bell.clear()
            survive(partial(runner.run, kind))
