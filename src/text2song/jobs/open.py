"""One URL decides what wakes the workers; nothing above this asks which."""

from text2song.errors import InvalidSetting
from text2song.jobs.threads import ThreadQueue


def open_queue(url: str) -> ThreadQueue:
    """The queue at `thread://`.

    Raises:
        InvalidSetting: any other URL.
    """
    if url == "thread://":
        return ThreadQueue()
    raise InvalidSetting(
        f"TEXT2SONG_QUEUE_URL is {url!r}; this version knows thread:// alone (Redis comes with the "
        "server deployment). Leave it out, or set it to thread://.",
        field="TEXT2SONG_QUEUE_URL",
    )
