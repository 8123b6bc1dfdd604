"""A studio on real servers that tests may strike: PostgreSQL, Valkey, S3, the API and its workers."""

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx2

from tests.doorbells import Broker, opened_broker
from tests.e2e.ledger import Held, Ledger, now
from tests.e2e.worksite import START_SECONDS, WorkerProcess, Worksite, worksite_at
from tests.object_store import ObjectStore
from tests.postgres import USER, PostgreSQL, running
from tests.servers import Server
from text2song.db import schema
from text2song.db.engine import open_engine
from text2song.names import NOISE_MODEL
from text2song.studio import utc_now

LEASE_SECONDS = 3.0
SWEEP_SECONDS = 1.0
WORKERS = 2
TAKE_SECONDS = 2.0
SEEDS = 5
"""So many different takes there are: equal seeds make equal bytes, which share their keys."""
AHEAD_SECONDS = 600.0
"""Ten times the slack between clocks."""


@dataclass
class Customers:
    """People who keep so many jobs waiting, and ask again with the same key whenever they had no answer."""

    server: Server
    open_jobs: int
    accepted: dict[str, int] = field(default_factory=dict)
    """Each job's id and its number, which is all that it depends on."""
    answers: Counter[str] = field(default_factory=Counter)
    is_content: threading.Event = field(default_factory=threading.Event)
    """Set: no more jobs."""
    failure: Exception | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="customers")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_content.set()
        self._thread.join(120)

    def _run(self) -> None:
        try:
            with self.server.client(timeout_seconds=30) as client:
                while not self.is_content.is_set():
                    self._keep_busy(client)
                    time.sleep(0.2)
        except Exception as error:  # noqa: BLE001  # for the test to tell
            self.failure = error

    def _keep_busy(self, client: httpx2.Client) -> None:
        answer = self._ask(lambda: client.get("/generate", params={"limit": 100}))
        jobs = answer["items"] if answer else []
        waiting = sum(job["status"] in {"queued", "running"} for job in jobs)
        for _ in range(self.open_jobs - waiting if answer else 0):
            if self.is_content.is_set():
                return
            self._submit(client, len(self.accepted))

    def _submit(self, client: httpx2.Client, number: int) -> None:
        body = {
            "prompt": {"text": "a slow walk home"},
            "num_samples": takes_of(number),
            "generation_params": {"seed": number % SEEDS, "duration": TAKE_SECONDS},
        }
        key = {"Idempotency-Key": f"job-{number}"}
        until = time.monotonic() + 120
        while (job := self._ask(lambda: client.post("/generate", json=body, headers=key))) is None:
            assert time.monotonic() < until, self.answers
            time.sleep(0.2)
        self.accepted[str(job["id"])] = number

    def _ask(self, ask: Callable[[], httpx2.Response]) -> dict[str, Any] | None:
        """The answer, unless there was none or it says to try again."""
        try:
            answer = ask()
        except httpx2.TransportError:
            self.answers["no answer"] += 1
            return None
        document: dict[str, Any] = answer.json()
        if answer.is_success:
            self.answers["success"] += 1
            return document
        self.answers[f"{answer.status_code} {document['code']}"] += 1
        assert answer.status_code == 503, answer.text
        return None


def takes_of(number: int) -> int:
    """How many takes the job of this number asks for."""
    return 1 + number % 3


@dataclass
class Chaos:
    """All of it."""

    postgresql: PostgreSQL
    broker: Broker
    object_store: ObjectStore
    server: Server
    site: Worksite
    ledger: Ledger
    folder: Path

    def staff(self) -> list[WorkerProcess]:
        """The workers that live, whether they are ready or not; as a supervisor keeps them."""
        living = [worker for worker in self.site.workers if worker.process.poll() is None]
        # one that began while the database was away has ended, and says so
        return living + [self.hire() for _ in range(WORKERS - len(living))]

    def staff_is_ready(self) -> bool:
        """Whether as many work as shall."""
        return self.site.are_ready(*self.staff())

    def hire(self) -> WorkerProcess:
        """A worker with a clock of its own, which is right."""
        self.site.environment["STAGED_CLOCK"] = str(self.folder / f"clock-{len(self.site.workers)}")
        return self.site.hire()

    def set_ahead(self, worker: WorkerProcess, seconds: float) -> None:
        """Its clock, from now on."""
        file = self.folder / f"clock-{self.site.workers.index(worker)}"
        new = file.with_suffix(".new")
        new.write_text(str(seconds))
        new.rename(file)

    def at_work(self) -> WorkerProcess:
        """A worker that has jobs in hand at this moment, and is not alone."""
        self.site.wait_until(self.staff_is_ready, limit_seconds=START_SECONDS)
        found: list[WorkerProcess] = []

        def look() -> bool:
            pids = {held.pid for held in self.ledger.held()}
            found[:] = [worker for worker in self.staff() if worker.pid in pids]
            return bool(found)

        self.site.wait_until(look, limit_seconds=60)
        return found[0]


@dataclass(frozen=True)
class Struck:
    """A fault that is over."""

    ended_at: float
    lost: frozenset[Held] = frozenset()
    """Claims of a worker that could not keep them."""


Strike = Callable[[Chaos, random.Random], Struck]


def kill_a_worker(chaos: Chaos, chance: random.Random) -> Struck:
    victim = chaos.at_work()
    time.sleep(chance.uniform(0.0, 0.3))
    lost = chaos.ledger.held(pid=victim.pid)
    victim.signal(signal.SIGKILL)
    ended_at = now()
    chaos.staff()
    return Struck(ended_at, frozenset(lost))


def freeze_a_worker(chaos: Chaos, chance: random.Random) -> Struck:
    """Past its lease; its silence is the fault, and what it does once it is woken must come to nothing."""
    victim = chaos.at_work()
    time.sleep(chance.uniform(0.0, 0.3))
    victim.signal(signal.SIGSTOP)
    try:
        frozen_at = now()
        time.sleep(0.3)  # what it had sent before is in the rows by now
        lost = chaos.ledger.held(pid=victim.pid)
        time.sleep(LEASE_SECONDS + SWEEP_SECONDS + chance.uniform(0.5, 2.0))
    finally:
        victim.signal(signal.SIGCONT)
    return Struck(frozen_at, frozenset(lost))


def empty_redis(chaos: Chaos, chance: random.Random) -> Struck:
    del chance
    with chaos.broker.client() as client:
        client.flushall()
    return Struck(now())


def restart_redis(chaos: Chaos, chance: random.Random) -> Struck:
    chaos.broker.kill()
    time.sleep(chance.uniform(0.1, 3.0))
    chaos.broker.start()
    return Struck(now())


def restart_postgresql(chaos: Chaos, chance: random.Random) -> Struck:
    return _stop_postgresql(chaos, chance, signal.SIGINT)


def crash_postgresql(chaos: Chaos, chance: random.Random) -> Struck:
    """`kill -9` of the server, which its processes do not outlive."""
    return _stop_postgresql(chaos, chance, signal.SIGKILL)


def _stop_postgresql(chaos: Chaos, chance: random.Random, how: signal.Signals) -> Struck:
    chaos.postgresql.stop(signal_number=how)
    time.sleep(chance.uniform(0.0, 2.0))
    chaos.postgresql.start()
    return Struck(now())


def restart_s3(chaos: Chaos, chance: random.Random) -> Struck:
    chaos.object_store.kill()
    time.sleep(chance.uniform(0.0, 2.0))
    chaos.object_store.start()
    return Struck(now())


def restart_the_api(chaos: Chaos, chance: random.Random) -> Struck:
    chaos.server.kill()
    time.sleep(chance.uniform(0.0, 1.0))
    chaos.server.start()
    return Struck(now())


def set_a_clock_forward(chaos: Chaos, chance: random.Random) -> Struck:
    """Of one worker, and back again, as whoever keeps the time does at last."""
    victim = chaos.at_work()
    chaos.set_ahead(victim, AHEAD_SECONDS)
    time.sleep(chance.uniform(2.0, 5.0))
    chaos.set_ahead(victim, 0.0)
    return Struck(now())


FAULTS: dict[str, Strike] = {
    "kill -9 of a worker": kill_a_worker,
    "a worker frozen past its lease": freeze_a_worker,
    "Redis emptied": empty_redis,
    "Redis killed": restart_redis,
    "PostgreSQL restarted": restart_postgresql,
    "PostgreSQL killed": crash_postgresql,
    "S3 killed": restart_s3,
    "the API killed": restart_the_api,
    "a worker's clock ten minutes ahead": set_a_clock_forward,
}


@contextmanager
def opened_chaos(folder: Path, *, object_store: ObjectStore, step_seconds: float | None) -> Iterator[Chaos]:
    """Everything, ready; gone when the `with` block ends. With `step_seconds`, the model is staged."""
    home = folder / "home"
    home.mkdir()
    with ExitStack() as stack:
        postgresql = stack.enter_context(running())
        postgresql.run_sql(f"CREATE DATABASE studio OWNER {USER}")
        broker = stack.enter_context(opened_broker(password="sesame"))
        blobs = object_store.settings()
        given = {
            "TEXT2SONG_HOME": str(home),
            "TEXT2SONG_MODEL": NOISE_MODEL,
            "TEXT2SONG_DATABASE_URL": postgresql.url("studio", tcp=True),
            "TEXT2SONG_QUEUE_URL": broker.url,
            "TEXT2SONG_BLOBS_URL": blobs["TEXT2SONG_BLOBS_URL"],
            "TEXT2SONG_CAPACITY": "2",
            "TEXT2SONG_LEASE_SECONDS": str(LEASE_SECONDS),
            "TEXT2SONG_SWEEP_SECONDS": str(SWEEP_SECONDS),
        }
        engine = open_engine(postgresql.url("studio"))
        stack.callback(engine.dispose)
        schema.upgrade(engine, backups=folder, now=utc_now())
        site = stack.enter_context(worksite_at(home, broker=broker, given=given))
        site.program = "tests.e2e.staged"
        if step_seconds is not None:
            site.environment["STAGED_STEP_SECONDS"] = str(step_seconds)
        server = Server(home, given)
        ledger = stack.enter_context(Ledger(engine))
        chaos = Chaos(postgresql, broker, object_store, server, site, ledger, folder)
        stack.callback(_end, server)
        chaos.staff()
        server.start()
        site.wait_until(chaos.staff_is_ready, limit_seconds=START_SECONDS)
        yield chaos


def _end(server: Server) -> None:
    if server.process is not None and server.process.poll() is None:
        server.kill()
