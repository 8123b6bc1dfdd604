"""The ear: a Celery worker inside this process, in one thread, that hears the bells in Redis.

It works in the thread that hears (Celery calls that the solo pool): a fork would lose CUDA and
hang the storage's client, and a worker at work must not take the bells that another could hear.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from celery import Celery
from celery.worker import state
from celery.worker.consumer import Consumer

from text2song.jobs.outage import Outage
from text2song.jobs.ringer import TASK, queue_name

RETRY_SECONDS: Final = 1.0
"""Between two attempts to reach a server that went away."""

Hear = Callable[[str, int], None]
"""What to do when a bell of this kind rings that was passed on so many times."""


class Listener:
    """Hears the bells of some kinds. One for each process: Celery's word to stop is global to it."""

    def __init__(self, app: Celery, kinds: Sequence[str], hear: Hear, *, outage: Outage) -> None:
        self._app = app
        self._kinds = kinds
        self._outage = outage
        state.should_stop = None  # an earlier one in this process left it set
        _register(app, hear)

    def run(self) -> None:
        """Hear and work until `close`; a server out of reach is tried again and again."""
        self._app.set_current()  # in this thread: what a task is, Celery asks its current app
        worker = self._app.WorkController(
            pool_cls="solo",
            concurrency=1,
            queues=[queue_name(kind) for kind in self._kinds],
            consumer_cls=_Ear,
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
        )
        worker.consumer.outage = self._outage
        worker.start()

    def close(self) -> None:
        """Hear no more; `run` returns within a second after the work at hand."""
        state.should_stop = 0


class _Ear(Consumer):  # type: ignore[misc]  # Celery has no types
    """Celery's consumer, but steadier: it tells of an outage once, and looks every second for its end."""

    outage: Outage

    def ensure_connected(self, conn: Any) -> Any:  # noqa: ANN401  # as the base class
        """Wait until the server can be reached, however long that takes."""
        connected = conn.ensure_connection(
            lambda error, _: self.outage.begin(error),
            interval_start=RETRY_SECONDS,
            interval_step=0,
            interval_max=RETRY_SECONDS,
            callback=state.maybe_shutdown,
        )
        self.outage.end()
        return connected

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """The server went away."""
        self.outage.begin(exc)
        super().on_connection_error_after_connected(exc)


def _register(app: Celery, hear: Hear) -> None:
    """The one thing that a message can ask for; Celery's own tasks are taken away."""
    app.finalize()
    for name in list(app.tasks):
        app.tasks.unregister(name)

    @app.task(name=TASK, shared=False)  # type: ignore[untyped-decorator]  # Celery has no types
    def run_job(kind: str, passed_on: int = 0) -> None:
        hear(kind, passed_on)
