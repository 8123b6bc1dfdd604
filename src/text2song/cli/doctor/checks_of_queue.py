"""The check of what wakes the workers."""

from text2song.cli.doctor.findings import Finding, State
from text2song.errors import Unavailable
from text2song.jobs.broker_reach import require_reachable
from text2song.jobs.broker_url import shown
from text2song.jobs.open import is_in_process
from text2song.settings import Settings


def check_queue(settings: Settings) -> Finding:
    """Whether the bells of `serve` and `worker` have a way to each other."""
    if is_in_process(settings.queue_url):
        return Finding("queue", State.OK, f"{settings.queue_url}, `text2song serve` makes takes itself")
    try:
        require_reachable(settings.queue_url)
    except Unavailable as error:
        return Finding("queue", State.PROBLEM, error.message)
    server = shown(settings.queue_url)
    return Finding(
        "queue",
        State.OK,
        f"{server} answers; `text2song serve` is the API alone, and takes are made by `text2song worker`",
    )
