"""How often somebody may ask: so many requests a minute for each person, few wrong keys for each address.

The limit on wrong keys keeps the log and the database quiet. That nobody guesses a key is the work of
its 256 bits, so a good key is let in from any address; only the sign-in form is closed to one that
tried too often.

Counts are kept by the minute. On one machine they lie in this process; where a Redis is there for
the queue they lie there, so that several API processes count together. The usual package for this
starts a thread at nearly every request to clear its counts in memory (199 for 200, measured).
"""

import datetime as dt
import ipaddress
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from text2song.api.callers import parse_address
from text2song.db.clock import Clock
from text2song.errors import MissingPart, TooManyRequests
from text2song.names import INSTALLING

if TYPE_CHECKING:
    from redis import Redis

MINUTE_SECONDS: Final = 60
WRONG_KEYS_A_MINUTE: Final = 10
ANSWER_SECONDS: Final = 0.5
"""How long Redis may take; a request does not wait longer to be counted."""
PAUSE_SECONDS: Final = 5.0
"""After it took too long or was not there, no other request waits for it for this long."""
IPV6_SITE_BITS: Final = 64
"""Of an IPv6 address, by which one house is told from another: each has all addresses below."""

log = structlog.get_logger(__name__)


class Counts(Protocol):
    """Numbers that begin at nought every minute."""

    def add(self, name: str, *, minute: int) -> int:
        """Count one more; answers how many that makes."""
        ...

    def read(self, name: str, *, minute: int) -> int:
        """How many there are."""
        ...


class CountsInMemory:
    """In this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._minute = 0
        self._counts: dict[str, int] = {}

    def add(self, name: str, *, minute: int) -> int:
        """Implements `Counts`; a new minute forgets the one before."""
        with self._lock:
            self._turn_to(minute)
            self._counts[name] = self._counts.get(name, 0) + 1
            return self._counts[name]

    def read(self, name: str, *, minute: int) -> int:
        """Implements `Counts`."""
        with self._lock:
            self._turn_to(minute)
            return self._counts.get(name, 0)

    def _turn_to(self, minute: int) -> None:
        if minute != self._minute:
            self._minute, self._counts = minute, {}


class CountsInRedis:
    """In a Redis or Valkey. Where it does not answer nothing is counted, and everybody is let in."""

    def __init__(self, client: "Redis") -> None:
        self._client = client
        self._pauses_until = 0.0

    def add(self, name: str, *, minute: int) -> int:
        """Implements `Counts`; a count goes by itself, two minutes later."""
        key = _key(name, minute)

        def ask() -> int:
            with self._client.pipeline(transaction=True) as pipeline:
                pipeline.incr(key)
                pipeline.expire(key, 2 * MINUTE_SECONDS)
                return int(pipeline.execute()[0])

        return self._answer(ask)

    def read(self, name: str, *, minute: int) -> int:
        """Implements `Counts`."""
        return self._answer(lambda: int(self._client.get(_key(name, minute)) or 0))

    def _answer(self, ask: Callable[[], int]) -> int:
        """Whoever asks has a connection to the database in hand, which others wait for meanwhile."""
        from redis import RedisError  # noqa: PLC0415  # one machine needs no Redis

        if time.monotonic() < self._pauses_until:
            return 0
        try:
            return ask()
        except RedisError as error:
            self._pauses_until = time.monotonic() + PAUSE_SECONDS
            log.warning("nothing is counted, so no limit holds", error=type(error).__name__)
            return 0


def open_counts(queue_url: str) -> Counts:
    """Counts beside the queue: in its Redis, where it has one.

    Raises:
        MissingPart: the package that speaks to Redis is not installed.
    """
    if not queue_url.startswith(("redis://", "rediss://")):
        return CountsInMemory()
    try:
        from redis import Redis  # noqa: PLC0415  # as above
    except ModuleNotFoundError as error:
        raise MissingPart(
            "TEXT2SONG_QUEUE_URL names Redis, whose client is not installed: "
            f"{INSTALLING.format(extra='celery')}."
        ) from error
    client = Redis.from_url(queue_url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS)
    return CountsInRedis(client)


class Limits:
    """The limits of one studio."""

    def __init__(self, counts: Counts, *, clock: Clock, requests_a_minute: int) -> None:
        self._counts = counts
        self._clock = clock
        self._requests_a_minute = requests_a_minute

    def count_request(self, person: str) -> None:
        """One request of a person who has logged in.

        Raises:
            TooManyRequests: their minute is used up.
        """
        limit = self._requests_a_minute
        if limit and self._counts.add(f"requests:{person}", minute=self._minute()) > limit:
            raise TooManyRequests(
                f"more than {limit} requests in one minute: wait for the next one. To follow jobs, ask with "
                "`wait`, and for many jobs at once.",
                retry_after_seconds=self._seconds_left(),
            )

    def count_wrong_key(self, address: str) -> None:
        """A request with a key that is not good.

        Raises:
            TooManyRequests: there were too many from this address.
        """
        if self._counts.add(f"wrong:{site_of(address)}", minute=self._minute()) > WRONG_KEYS_A_MINUTE:
            raise self._too_many_wrong()

    def count_failed_sign_in(self, address: str) -> None:
        """A key that is not good, typed into the form."""
        self._counts.add(f"sign-in:{site_of(address)}", minute=self._minute())

    def require_patience(self, address: str) -> None:
        """Look before a key is looked at that was typed into the form.

        Raises:
            TooManyRequests: too many attempts failed from this address.
        """
        if self._counts.read(f"sign-in:{site_of(address)}", minute=self._minute()) >= WRONG_KEYS_A_MINUTE:
            raise self._too_many_wrong()

    def _too_many_wrong(self) -> TooManyRequests:
        seconds = self._seconds_left()
        return TooManyRequests(
            f"too many wrong keys from your address: try again in {seconds} seconds.",
            retry_after_seconds=seconds,
        )

    def _minute(self) -> int:
        return int(self._clock().timestamp()) // MINUTE_SECONDS

    def _seconds_left(self) -> int:
        return MINUTE_SECONDS - int(self._clock().astimezone(dt.UTC).timestamp()) % MINUTE_SECONDS


def site_of(address: str) -> str:
    """What is counted together: an IPv4 address, or all of one house's IPv6 addresses.

    >>> site_of("2001:db8:0:7::1")
    '2001:db8:0:7::/64'
    """
    parsed = parse_address(address)
    if parsed is None:
        return "elsewhere"
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network(f"{parsed}/{IPV6_SITE_BITS}", strict=False))


def _key(name: str, minute: int) -> str:
    return f"text2song:limit:{name}:{minute}"
