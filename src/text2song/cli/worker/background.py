"""A worker whose model loads in the background, while the process already answers requests."""

import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import structlog

from text2song.cli.exits import ExitCode
from text2song.cli.faults import explained
from text2song.errors import StudioError, Unavailable, UnexpectedFailure
from text2song.jobs.hosting import WorkerQueue
from text2song.studio import Studio

if TYPE_CHECKING:
    from text2song.worker.main import Worker

log = structlog.get_logger(__name__)

LOADING_SECONDS: Final = 1.0
"""How long a process that ends waits for a model that is still loading."""


class BackgroundWorker:
    """Loads in a thread of its own; torch alone takes seconds to import."""

    def __init__(self, studio: Studio, queue: WorkerQueue) -> None:
        self._studio = studio
        self._queue = queue
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._worker: Worker | None = None
        self._is_stopping = threading.Event()
        self.failure: StudioError | None = None
        """Why the model could not be loaded."""

    def start(
        self,
        *,
        when_ready: Callable[[], None],
        when_failed: Callable[[], None],
        is_stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """Begin; one of the two is called, from the background; neither, where the process stops meanwhile.

        `is_stopping` tells of a stop that was asked for and has not come to `stop` yet.
        """

        def load() -> None:
            try:
                self._load()
            except Exception as error:  # noqa: BLE001  # whatever it is, the process must hear of it and end
                self.failure = _told(error)
                when_failed()
                return
            if self._is_stopping.is_set():
                self._leave_once(drain_seconds=0.0)
            elif not is_stopping():
                when_ready()

        self._thread = threading.Thread(target=load, name="model loader", daemon=True)
        self._thread.start()

    @property
    def is_loading(self) -> bool:
        """Whether the background has not come to an end yet."""
        return self._thread is not None and self._thread.is_alive()

    def require_ready(self) -> None:
        """For `/readyz`.

        Raises:
            Unavailable: while the model is loading.
            StudioError: why it could not be loaded.
        """
        if self.failure is not None:
            raise self.failure
        if self._worker is None:
            raise Unavailable("the model is still loading. Try again in a moment.")

    def is_healthy(self) -> bool:
        """Whether it works, or could at once; False while the model loads.

        Raises:
            UnexpectedFailure: a thread of the worker ended by itself, so that this process is of no use.
        """
        if self._worker is None:
            return False
        self._worker.require_alive()
        return self._worker.is_healthy

    def stop(self, *, drain_seconds: float = 0.0) -> None:
        """Give what runs that long to end, hand back the rest, and leave.

        A model that comes later is not served any more.
        """
        self._is_stopping.set()
        if self._thread is not None:
            self._thread.join(LOADING_SECONDS)
        self._leave_once(drain_seconds=drain_seconds)

    def end(self) -> None:
        """The last step of the process, when all else is closed; it may not return.

        Raises:
            StudioError: why the model could not be loaded.
        """
        if self.failure is not None:
            raise self.failure
        if self.is_loading:
            _end_process(ExitCode.OK)

    def abandon(self) -> None:
        """End the process now: what it was at is taken up by others when its leases run out."""
        _end_process(ExitCode.INTERRUPTED)

    def _load(self) -> None:
        from text2song.worker.main import Worker  # noqa: PLC0415  # torch: not before somebody needs it

        worker = Worker(self._studio, self._queue)
        worker.start()
        self._worker = worker

    def _leave_once(self, *, drain_seconds: float) -> None:
        with self._lock:
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop(drain_seconds=drain_seconds)


def _end_process(code: ExitCode) -> None:
    """Ending the interpreter under a thread that is inside torch can crash it; all else is in order."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _told(error: Exception) -> StudioError:
    known = explained(error)
    if known is None:
        log.error("loading the model failed unexpectedly", exc_info=error)
        known = UnexpectedFailure(f"the model could not be loaded: {type(error).__name__}: {error}")
    return known
