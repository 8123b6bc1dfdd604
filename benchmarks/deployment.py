"""A studio of many machines on this one: PostgreSQL, Redis, S3, APIs and a worker, each a process of its own.

All of them are the real programs (see tests/postgres.py, tests/doorbells.py, tests/object_store.py).
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx2
from sqlalchemy import update

from benchmarks.filling import fill
from tests.doorbells import opened_broker
from tests.object_store import new_object_store, started
from tests.postgres import USER, PostgreSQL, running
from tests.servers import START_SECONDS, Server, finished
from tests.users.people import add_person_with_key
from text2song.db.engine import open_engine
from text2song.jobs.queue import SilentQueue
from text2song.names import NOISE_MODEL
from text2song.prompts.tables import Prompt
from text2song.settings import load_settings
from text2song.studio import open_studio
from text2song.users.ownership import Visibility

DATABASE: Final = "studio"


@dataclass(frozen=True)
class Deployment:
    """All of it, running."""

    folder: Path
    apis: list[Server]
    database: PostgreSQL
    pids: dict[str, list[int]] = field(default_factory=dict)
    """The processes of each part, by its name."""

    @property
    def ports(self) -> list[int]:
        """Of the APIs."""
        return [api.port for api in self.apis]

    @property
    def database_url(self) -> str:
        """For whoever would read the same rows."""
        return self.database.url(DATABASE)

    @property
    def log(self) -> str:
        """Of the APIs."""
        return "".join(api.log for api in self.apis)

    def make(self, *, jobs: int, seconds: float) -> list[dict[str, Any]]:
        """Jobs with one take each, once they are over."""
        with self.apis[0].client() as client:
            answers = [client.post("/generate", json=wish(n, seconds=seconds)) for n in range(jobs)]
            made = finished(client, [answer.json()["id"] for answer in answers], timeout_seconds=300)
        assert {job["status"] for job in made} == {"succeeded"}, made
        return made

    def admit(self, people: int) -> list[str]:
        """Share all that is there with so many people, who log in from now on; answers their keys."""
        given = {
            "TEXT2SONG_HOME": str(self.folder / "admission"),
            "TEXT2SONG_DATABASE_URL": self.database_url,
        }
        studio = open_studio(load_settings(given), queue=SilentQueue())
        with studio.work() as work:
            work.session.execute(update(Prompt).values(visibility=Visibility.SHARED))
        keys = [add_person_with_key(studio, f"person {n}").key for n in range(people)]
        with studio.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")  # as autovacuum does within a minute of such a flood
        studio.engine.dispose()
        return keys


def wish(number: int, *, seconds: float) -> dict[str, Any]:
    """The body of a request for one take."""
    return {
        "prompt": {"text": f"a slow piano, take {number}"},
        "generation_params": {"seed": number, "duration": seconds},
    }


@contextmanager
def deployed(folder: Path, *, apis: int = 2, history_jobs: int = 0) -> Iterator[Deployment]:
    """Until the `with` block ends. The database begins with a history of so many finished jobs."""
    with ExitStack() as stack:
        database = stack.enter_context(running("shared_buffers=256MB"))
        database.run_sql(f"CREATE DATABASE {DATABASE} OWNER {USER}")
        broker = stack.enter_context(opened_broker())
        bucket = folder / "bucket"
        bucket.mkdir()
        store = stack.enter_context(started(new_object_store(bucket)))
        given = {
            "TEXT2SONG_DATABASE_URL": database.url(DATABASE),
            "TEXT2SONG_QUEUE_URL": broker.url,
            "TEXT2SONG_MODEL": NOISE_MODEL,
            **store.settings(),
        }
        servers = [stack.enter_context(_api(folder / f"api-{n}", given)) for n in range(apis)]
        if history_jobs:
            engine = open_engine(database.url(DATABASE))
            fill(engine, jobs_before=0, jobs=history_jobs)
            engine.dispose()
        worker = stack.enter_context(_worker(folder / "worker", given, api=servers[0]))
        pids = {
            "APIs": [_pid(server.process) for server in servers],
            "worker": [_pid(worker)],
            "PostgreSQL": [_pid(database.process)],
            "Redis": [_pid(broker.process)],
            "S3": [_pid(store.process)],
        }
        yield Deployment(folder, servers, database, pids)


@contextmanager
def _api(folder: Path, given: Mapping[str, str]) -> Iterator[Server]:
    folder.mkdir()
    server = Server(folder / "home", given)
    try:
        server.start()
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.kill()


@contextmanager
def _worker(folder: Path, given: Mapping[str, str], *, api: Server) -> Iterator["subprocess.Popen[bytes]"]:
    """Once the API knows of it."""
    folder.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TEXT2SONG_")}
    threads = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "text2song.cli", "worker"],
            env={**kept, **threads, "TEXT2SONG_HOME": str(folder / "home"), **given},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        until = time.monotonic() + START_SECONDS
        while not httpx2.get(f"{api.url}/models", timeout=30).json()["items"]:
            told = (folder / "worker.log").read_text()[-4000:]
            assert process.poll() is None, f"the worker ended:\n{told}"
            assert time.monotonic() < until, f"the worker is not ready:\n{told}"
            time.sleep(0.2)
        yield process
    finally:
        process.kill()
        process.wait()


def _pid(process: "subprocess.Popen[bytes] | None") -> int:
    assert process is not None
    return process.pid
