"""Many people at a fixed pace: a plan that no slow answer slows down, and what each request took.

The plan is open: it says at which moment which person asks for what, whether earlier answers are there
or not. A latency is counted from that moment and not from when the request could be sent; else a server that
stands still would hide all that came due meanwhile (coordinated omission). People ask one thing at a time,
each on a connection of their own, as a browser's tab does.

The client shares the machine with what it measures, so it is thin: asyncio's streams, and of an answer's
head only the status, the length and where it leads.
"""

import asyncio
import contextlib
import random
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

TIMEOUT_SECONDS: Final = 30.0
READ_AHEAD_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Ask:
    """One request."""

    kind: str
    """What it is counted as."""
    path: str
    port: int | None = None
    """Where, when not at the person's own server."""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    waits_seconds: float = 0.0
    """How long the server was asked to wait for news: counted is only what it took beyond that."""
    follows_as: str | None = None
    """The kind as which the redirect is counted that the answer must be."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One request with its moment, in seconds from the beginning, and who makes it."""

    at_seconds: float
    person: int
    ask: Ask


@dataclass(frozen=True, slots=True)
class Answer:
    """What is read of one."""

    status: int
    location: str | None
    body: bytes


@dataclass
class Outcome:
    """What a run measured."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    statuses: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    errors: Counter[str] = field(default_factory=Counter)
    bytes_read: int = 0
    wall_seconds: float = 0.0

    def note(self, kind: str, status: int, *, seconds: float) -> None:
        """One answer."""
        self.statuses[kind][status] += 1
        self.seconds[kind].append(seconds)

    @property
    def count(self) -> int:
        """All answers; a redirect and what it led to are two."""
        return sum(sum(counter.values()) for counter in self.statuses.values())

    @property
    def server_errors(self) -> int:
        """Answers of 500 and above."""
        return sum(n for counter in self.statuses.values() for status, n in counter.items() if status >= 500)

    @property
    def refusals(self) -> int:
        """Answers of 400 to 499."""
        found = (item for counter in self.statuses.values() for item in counter.items())
        return sum(n for status, n in found if 400 <= status < 500)

    def add(self, other: "Outcome") -> None:
        """Take in what another run measured."""
        for kind, measured in other.seconds.items():
            self.seconds[kind] += measured
        for kind, counter in other.statuses.items():
            self.statuses[kind] += counter
        self.errors += other.errors
        self.bytes_read += other.bytes_read
        self.wall_seconds += other.wall_seconds


@dataclass(frozen=True, slots=True)
class Habit:
    """What people do, and how often beside other habits."""

    weight: int
    asks: Sequence[Ask]
    """One of these at a time."""


def plan(
    habits: Sequence[Habit], *, people: int, rate_per_second: float, seconds: float, seed: int
) -> list[Planned]:
    """Requests at a fixed rate; people take turns, and what each does is drawn by the weights."""
    chance = random.Random(seed)
    count = int(rate_per_second * seconds)
    drawn = chance.choices(habits, [habit.weight for habit in habits], k=count)
    asks = [chance.choice(habit.asks) for habit in drawn]
    return [Planned(n / rate_per_second, n % people, ask) for n, ask in enumerate(asks)]


def percentile(values: Sequence[float], percent: int) -> float:
    """Of at least two values."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def run(planned: Sequence[Planned], *, ports: Sequence[int], keys: Sequence[str] = ()) -> Outcome:
    """Carry the plan out; each person stays with one of the servers at `ports`, and logs in by their key."""
    return asyncio.run(_run(planned, ports=ports, keys=keys))


async def _run(planned: Sequence[Planned], *, ports: Sequence[int], keys: Sequence[str]) -> Outcome:
    outcome = Outcome()
    of_person: dict[int, list[Planned]] = defaultdict(list)
    for each in planned:
        of_person[each.person].append(each)
    people = [
        _Person(ports[person % len(ports)], acts, outcome, key=keys[person] if keys else None)
        for person, acts in sorted(of_person.items())
    ]
    for person in people:
        await person.arrive()
    began = time.perf_counter()
    await asyncio.gather(*(person.live(began) for person in people))
    outcome.wall_seconds = time.perf_counter() - began
    return outcome


class _Person:
    """One client: its servers by port, each by a connection that is kept."""

    def __init__(self, port: int, acts: Sequence[Planned], outcome: Outcome, *, key: str | None) -> None:
        self._port = port
        self._login = {"Authorization": f"Bearer {key}"} if key else {}
        self._acts = acts
        self._outcome = outcome
        self._lines: dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}

    async def arrive(self) -> None:
        """Connect before the clock runs: the page was open already."""
        await self._line(self._port)

    async def live(self, began: float) -> None:
        """Each act at its moment, or as soon after it as the one before it is answered."""
        for act in self._acts:
            due = began + act.at_seconds
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            try:
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    await self._act(act.ask, due=due)
            except (OSError, EOFError, ValueError) as error:  # a timeout is an OSError
                self._outcome.errors[f"{act.ask.kind}: {type(error).__name__} {error}"] += 1
                self._forget()
        self._forget()

    async def _act(self, ask: Ask, *, due: float) -> None:
        answer = await self._get(ask, port=self._port if ask.port is None else ask.port)
        now = time.perf_counter()
        self._outcome.note(ask.kind, answer.status, seconds=max(0.0, now - due - ask.waits_seconds))
        if ask.follows_as is not None and answer.location is not None:
            await self._follow(ask, answer.location, kind=ask.follows_as)

    async def _follow(self, ask: Ask, location: str, *, kind: str) -> None:
        began = time.perf_counter()
        where = urlsplit(location)
        assert where.port is not None, location
        found = Ask(kind, f"{where.path}?{where.query}", headers=ask.headers)
        answer = await self._get(found, port=where.port)
        self._outcome.note(kind, answer.status, seconds=time.perf_counter() - began)

    async def _get(self, ask: Ask, *, port: int) -> Answer:
        reader, writer = await self._line(port)
        login = self._login if port == self._port else {}  # the key is the studio's, and no bucket's
        writer.write(_request(ask, port=port, login=login))
        answer = await _read(reader)
        self._outcome.bytes_read += len(answer.body)
        return answer

    async def _line(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A server that closed a connection at rest is asked on a new one, as browsers do."""
        line = self._lines.get(port)
        if line is None or line[0].at_eof():
            line = await asyncio.open_connection("127.0.0.1", port, limit=READ_AHEAD_BYTES)
            self._lines[port] = line
        return line

    def _forget(self) -> None:
        for _, writer in self._lines.values():
            with contextlib.suppress(OSError):
                writer.close()
        self._lines.clear()


def _request(ask: Ask, *, port: int, login: Mapping[str, str]) -> bytes:
    headers = {"Host": f"127.0.0.1:{port}", **login, **dict(ask.headers)}
    method = "GET"
    if ask.body is not None:
        method = "POST"
        headers |= {"Content-Type": "application/json", "Content-Length": str(len(ask.body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{method} {ask.path} HTTP/1.1\r\n{lines}\r\n".encode() + (ask.body or b"")


async def _read(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    status = int(first.split(" ", 2)[1])
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if status in {204, 304}:
        return Answer(status, None, b"")
    body = await reader.readexactly(int(headers["content-length"]))
    return Answer(status, headers.get("location"), body)
