"""What `serve` and `worker` say of themselves: which model they load, that it is there, that they stop."""

from typing import Final

from text2song.cli.answer import Answer
from text2song.model.manifest import Manifest
from text2song.models.queries import Understanding
from text2song.settings import Settings

STOPPING: Final = (
    "Stopping. What is unfinished goes back to the queue; the next start takes it up. "
    "Ctrl-C again ends it at once."
)
STOPPING_ALONE: Final = "Stopping. The workers go on with what is in the queue."
NO_WORKER_HERE: Final = (
    "This process makes no takes: TEXT2SONG_QUEUE_URL names a server for workers. Start them with "
    "`text2song worker`, here or on other machines."
)


def draining(seconds: float) -> str:
    """What a worker says when it is asked to stop."""
    if not seconds:
        return STOPPING
    return (
        f"Stopping. What does not end within {seconds:g} seconds goes back to the queue. "
        "Ctrl-C again ends it at once."
    )


def served_model(settings: Settings) -> Manifest:
    """Who is served under these settings; quick once torch is imported.

    Raises:
        ModelMissing, ModelCorrupt: when it is not there.
    """
    from text2song.worker.handlers import model_folder  # noqa: PLC0415  # torch: not before somebody needs it

    return Manifest.read(model_folder(settings))


def tell_of_loading(settings: Settings, *, answer: Answer) -> None:
    """Said before torch is imported, so that nobody waits without knowing for what."""
    answer.notice(f"Loading the model {settings.model}.")


def tell_of_model(manifest: Manifest, *, answer: Answer) -> str | None:
    """What there is to know of the model that is served now; also the answer."""
    notice = Understanding(manifest.is_trained, manifest.vocabulary).notice()
    if notice is not None:
        answer.notice(notice)
    return notice
