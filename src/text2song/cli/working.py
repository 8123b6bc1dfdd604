"""What `worker` does: a worker without the API, over the same database and bytes."""

from text2song.cli.answer import Answer
from text2song.cli.background import BackgroundWorker
from text2song.cli.notices import served_model
from text2song.cli.opening import opened_studio, settings_for, thread_queue
from text2song.cli.signals import StopSignals
from text2song.models.queries import notice_of


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
            notice = notice_of(manifest)
            if notice is not None:
                answer.notice(notice)
            document = {"model": manifest.id, "capacity": settings.capacity, "notice": notice}
            answer.give(
                document, text=f"The worker is ready: {manifest.id}, up to {settings.capacity} takes."
            )

        worker.start(when_ready=welcome, when_failed=stop.asked.set, is_stopping=stop.asked.is_set)
        stop.asked.wait()
        worker.stop()
    worker.end()
