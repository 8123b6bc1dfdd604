"""What `worker` does: a worker without the API, over the same database and bytes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from text2song.cli.answer import Answer
from text2song.cli.opening import opened_queue, opened_studio, settings_for
from text2song.cli.worker.background import BackgroundWorker
from text2song.cli.worker.health_file import HealthFile
from text2song.cli.worker.notices import draining, served_model, tell_of_loading, tell_of_model
from text2song.cli.worker.signals import StopSignals
from text2song.errors import UnexpectedFailure
from text2song.settings import Settings

HEALTH_SECONDS: Final = 2.0
"""How often the worker is looked at."""


def work(answer: Answer, *, options: Mapping[str, object]) -> None:
    """Work until a signal; `options` are settings that the command line gave.

    Raises:
        SetupError, ModelError: when the studio cannot be opened, or its model not be loaded.
        UnexpectedFailure: when a thread of the worker ended by itself.
    """
    settings = settings_for(answer, is_service=True, options=options)
    with (
        StopSignals() as stop,
        opened_queue(settings) as queue,
        opened_studio(settings, answer=answer, queue=queue) as studio,
        _health_file(settings) as health,
    ):
        worker = BackgroundWorker(studio, queue)
        tell_of_loading(settings, answer=answer)
        worker.start(
            when_ready=lambda: _welcome(settings, answer=answer),
            when_failed=stop.asked.set,
            is_stopping=stop.asked.is_set,
        )
        try:
            while not stop.asked.wait(HEALTH_SECONDS):
                if worker.is_healthy() and health is not None:
                    health.touch()
            if worker.failure is None:
                answer.notice(draining(settings.drain_seconds))
            worker.stop(drain_seconds=settings.drain_seconds)
        except UnexpectedFailure:
            worker.stop()
            raise
        except KeyboardInterrupt:
            if health is not None:
                health.remove()
            worker.abandon()
    worker.end()


def _welcome(settings: Settings, *, answer: Answer) -> None:
    manifest = served_model(settings)
    notice = tell_of_model(manifest, answer=answer)
    document = {"model": manifest.id, "capacity": settings.capacity, "notice": notice}
    answer.give(document, text=f"The worker is ready: {manifest.id}, up to {settings.capacity} takes.")


@contextmanager
def _health_file(settings: Settings) -> Iterator[HealthFile | None]:
    if settings.health_file is None:
        yield None
        return
    file = HealthFile(settings.health_file)
    file.prepare()
    try:
        yield file
    finally:
        file.remove()
