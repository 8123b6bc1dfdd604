"""What `worker` does: a worker without the API, over the same database and bytes."""

from text2song.cli.answer import Answer
from text2song.cli.opening import opened_studio, settings_for, thread_queue
from text2song.cli.worker.background import BackgroundWorker
from text2song.cli.worker.notices import STOPPING, served_model, tell_of_loading, tell_of_model
from text2song.cli.worker.signals import StopSignals


def work(answer: Answer) -> None:
    """Work until a signal.

    Raises:
        SetupError, ModelError: when the studio cannot be opened, or its model not be loaded.
    """
    settings = settings_for(answer, is_service=True)
    queue = thread_queue(settings)
    with StopSignals() as stop, opened_studio(settings, answer=answer, queue=queue) as studio:
        worker = BackgroundWorker(studio, queue)

        def welcome() -> None:
            manifest = served_model(settings)
            notice = tell_of_model(manifest, answer=answer)
            document = {"model": manifest.id, "capacity": settings.capacity, "notice": notice}
            answer.give(
                document, text=f"The worker is ready: {manifest.id}, up to {settings.capacity} takes."
            )

        tell_of_loading(settings, answer=answer)
        worker.start(when_ready=welcome, when_failed=stop.asked.set, is_stopping=stop.asked.is_set)
        stop.asked.wait()
        if worker.failure is None:
            answer.notice(STOPPING)
        worker.stop()
    worker.end()
