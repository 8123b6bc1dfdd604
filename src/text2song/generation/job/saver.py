"""The thread beside the worker's: what takes time and needs no model is done there, in order.

Nothing in here waits for the other but where it says so: a storage that is slow stalls no frame.
"""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

ResultT = TypeVar("ResultT")
Deed = Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Failed:
    """What a task raised, to be raised where the others' results are told."""

    error: BaseException

    def __call__(self) -> None:
        raise self.error


class Saver:
    """Does one thing after the other, and tells what came of each in the thread that asked for it.

    How much waits is for the asker to bound, by `backlog`: whoever was asked never refuses, and never makes
    the asker wait. All that was asked for is done when the `with` block ends.
    """

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[Callable[[], Deed] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Deed] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="saver", daemon=True)
        self.backlog = 0
        """Tasks of which nothing was told yet."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._tasks.put(None)
        self._thread.join()

    def put(self, task: Callable[[], ResultT], then: Callable[[ResultT], None]) -> None:
        """Have `task` done, after all that was asked for before; `collect` hands its result to `then`."""

        def do() -> Deed:
            return partial(then, task())

        self.backlog += 1
        self._tasks.put(do)

    def collect(self, *, wait_seconds: float = 0.0) -> None:
        """Tell what is done; where nothing is, wait so long for it.

        Raises:
            Exception: whatever a task raised. What was asked for after it is done all the same.
        """
        try:
            deed = self._done.get(timeout=wait_seconds) if wait_seconds else self._done.get_nowait()
            while True:
                self.backlog -= 1
                deed()
                deed = self._done.get_nowait()
        except queue.Empty:
            return

    def finish(self) -> None:
        """Wait until all is done and told, also what the telling asks for.

        Raises:
            Exception: the first that a task raised, once the others are done.
        """
        first: Exception | None = None
        while self.backlog:
            try:
                self.collect(wait_seconds=1.0)
            except Exception as error:  # noqa: BLE001  # one take that cannot be saved costs no other
                first = first or error
        if first is not None:
            raise first

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                told: Deed = task()
            except BaseException as error:  # noqa: BLE001  # raised again where results are told
                told = _Failed(error)
            self._done.put(told)
