"""The check of what wakes the workers."""

from typing import Final

from text2song.cli.doctor.findings import Finding, State
from text2song.jobs.broker_url import shown
from text2song.jobs.open import is_in_process
from text2song.settings import Settings

PROBE_SECONDS: Final = 2.0


def check_queue(settings: Settings) -> Finding:
    """Whether the bells of `serve` and `worker` have a way to each other."""
    if is_in_process(settings.queue_url):
        return Finding("queue", State.OK, f"{settings.queue_url}, `text2song serve` makes takes itself")
    from redis import Redis, RedisError  # noqa: PLC0415  # one machine needs no Redis
    from redis.backoff import NoBackoff  # noqa: PLC0415  # as above
    from redis.retry import Retry  # noqa: PLC0415  # as above

    server = shown(settings.queue_url)
    try:
        with Redis.from_url(
            settings.queue_url,
            socket_timeout=PROBE_SECONDS,
            socket_connect_timeout=PROBE_SECONDS,
            retry=Retry(NoBackoff(), 0),
        ) as client:
            client.ping()
    except (RedisError, OSError) as error:
        return Finding(
            "queue",
            State.PROBLEM,
            f"{server} cannot be used ({error}). Until it can, workers find new work some seconds later. See "
            "whether the server runs, and to the address and the password in TEXT2SONG_QUEUE_URL.",
        )
    return Finding(
        "queue",
        State.OK,
        f"{server} answers; `text2song serve` is the API alone, and takes are made by `text2song worker`",
    )
