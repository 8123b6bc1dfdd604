"""A worker whose model loads in the background, while the process already answers requests."""

import threading
from collections.abc import Callable
from typing import Final

import structlog

from text2song.cli.faults import explained
from text2song.errors import StudioError, Unavailable, UnexpectedFailure
from text2song.jobs.threads import ThreadQueue
from text2song.studio import Studio

log = structlog.get_logger(__name__)

LOADING_SECONDS: Final = 1.0
"""How long a process that ends waits for a model that is still loading."""


class BackgroundWorker:
    """Loads in a thread of its own; torch alone takes seconds to import."""

    def __init__(self, studio: Studio, queue: ThreadQueue) -> None:
        self._studio = studio
        self._queue = queue
        self._thread: threading.Thread | None = None
        self._leave: Callable[[], None] | None = None
        self.failure: StudioError | None = None
        """Why the model could not be loaded."""

    def start(self, *, when_ready: Callable[[], None], when_failed: Callable[[], None]) -> None:
        """Begin; exactly one of the two is called, from the background."""

        def load() -> None:
            try:
                self._load()
            except Exception as error:  # noqa: BLE001  # whatever it is, the process must hear of it and end
                self.failure = _told(error)
                when_failed()
            else:
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
        if self._leave is None:
            raise Unavailable("the model is still loading")

    def stop(self) -> None:
        """Hand unfinished jobs back and leave."""
        if self._thread is not None:
            self._thread.join(LOADING_SECONDS)
        if self._leave is not None:
            self._leave()

    def _load(self) -> None:
        from text2song.worker.main import Worker  # noqa: PLC0415  # torch: not before somebody needs it

        worker = Worker(self._studio, self._queue)
        worker.start()
        self._leave = worker.stop


def _told(error: Exception) -> StudioError:
    known = explained(error)
    if known is None:
        log.error("loading the model failed unexpectedly", exc_info=error)
        known = UnexpectedFailure(f"the model could not be loaded: {type(error).__name__}: {error}")
    return known
