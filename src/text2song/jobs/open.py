"""One URL decides what wakes the workers; nothing above this asks which."""

from typing import Final

from text2song.errors import InvalidSetting
from text2song.jobs.broker_url import SETTING, check_broker_url, is_broker_url
from text2song.jobs.hosting import WorkerQueue
from text2song.jobs.threads import ThreadQueue

THREAD_URL: Final = "thread://"


def open_queue(url: str) -> WorkerQueue:
    """The queue at `thread://`, `redis://` or `rediss://`. Connects to nothing yet.

    Raises:
        InvalidSetting: any other URL.
    """
    if is_in_process(url):
        return ThreadQueue()
    from text2song.jobs.celery import CeleryQueue  # noqa: PLC0415  # one machine needs no Celery

    return CeleryQueue(url)


def is_in_process(url: str) -> bool:
    """Whether the server does the work itself, so that it needs no workers beside it.

    Raises:
        InvalidSetting: the URL is of no known kind.
    """
    if url == THREAD_URL:
        return True
    if not is_broker_url(url):
        raise InvalidSetting(
            f"{SETTING} is of no known kind. For one machine leave it out, or set it to thread://; for many "
            "set it to redis://HOST:6379/0, or rediss:// where the server speaks TLS.",
            field=SETTING,
        )
    check_broker_url(url)
    return False
