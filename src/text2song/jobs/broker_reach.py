"""Whether the Redis or Valkey server of a URL answers; nothing is rung or heard."""

from typing import Final

from text2song.errors import Unavailable
from text2song.jobs.broker_url import shown

PATIENCE_SECONDS: Final = 2.0


def require_reachable(url: str) -> None:
    """Ask the server for a sign of life.

    Raises:
        Unavailable: it gave none, or does not know the password.
    """
    from redis import Redis, RedisError  # noqa: PLC0415  # one machine needs no Redis
    from redis.backoff import NoBackoff  # noqa: PLC0415  # as above
    from redis.retry import Retry  # noqa: PLC0415  # as above

    try:
        with Redis.from_url(
            url,
            socket_timeout=PATIENCE_SECONDS,
            socket_connect_timeout=PATIENCE_SECONDS,
            retry=Retry(NoBackoff(), 0),
        ) as client:
            client.ping()
    except (RedisError, OSError) as error:
        raise Unavailable(
            f"{shown(url)} cannot be used ({error}). Until it can, workers find new work some seconds later. "
            "See whether the server runs, and to the address and the password in TEXT2SONG_QUEUE_URL."
        ) from error
