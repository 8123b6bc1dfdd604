"""A whole studio over PostgreSQL, whose server is restarted under it."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx2
import pytest
from sqlalchemy import text

from tests.figures import RecordFigure
from tests.postgres import INSTALL, PASSWORD, USER, PostgreSQL, programs, running
from tests.servers import Server, finished, served
from text2song.db.engine import open_engine

JOBS = 8
TAKES = 2


@pytest.fixture(scope="module", name="postgresql_server")
def start_server() -> Iterator[PostgreSQL]:
    """A server of this module's own: it is restarted here."""
    if programs() is None:
        pytest.skip(f"PostgreSQL is not installed: {INSTALL}")
    with running() as server:
        server.run_sql(f"CREATE DATABASE studio OWNER {USER}")
        yield server


@dataclass
class Browsing:
    """A client that reads and writes without a pause and minds what it is answered."""

    server: Server
    answers: Counter[str] = field(default_factory=Counter)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        with self.server.client() as client:
            asked: tuple[Callable[[], httpx2.Response], ...] = (
                lambda: client.get("/generate"),
                lambda: client.get("/prompts"),
                lambda: client.post("/prompts", json={"text": "a slow walk home"}),
                lambda: client.get("/readyz"),
            )
            while not self._stopping.is_set():
                for ask in asked:
                    answer = ask()
                    code = "" if answer.is_success else answer.json()["code"]
                    self.answers[f"{answer.status_code} {code}".strip()] += 1

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(60)


@pytest.mark.slow
def test_a_restart_of_the_database_costs_a_few_answers_and_nothing_else(
    tmp_path: Path, postgresql_server: PostgreSQL, record_figure: RecordFigure
) -> None:
    url = postgresql_server.url("studio", tcp=True).replace("postgresql+psycopg://", "postgres://")
    timing = {"LEASE_SECONDS": "4", "SWEEP_SECONDS": "0.5"}
    with served(tmp_path / "home", DATABASE_URL=url, **timing) as server, Browsing(server) as browsing:
        with server.client() as client:
            jobs = [_submit(client, number) for number in range(JOBS)]
            began = time.monotonic()
            for how in (signal.SIGINT, signal.SIGQUIT):  # in good order, and as a crash does
                _wait_for_takes(server, postgresql_server, more_than=_takes(postgresql_server))
                postgresql_server.restart(signal_number=how)
            ended = finished_in_spite_of_it(client, jobs)
        record_figure("eight jobs, two restarts of PostgreSQL", time.monotonic() - began, "s")
    assert [job["status"] for job in ended] == ["succeeded"] * JOBS, ended
    samples = [sample["id"] for job in ended for sample in job["samples"]]
    assert len(samples) == len(set(samples)) == JOBS * TAKES == _takes(postgresql_server)
    failed = {said: count for said, count in browsing.answers.items() if not said.startswith("20")}
    assert set(failed) <= {"503 storage_failed", "503 database_busy", "503 unavailable"}
    record_figure("answers that a restart of PostgreSQL cost", sum(failed.values()) / 2, "answers")
    assert PASSWORD not in server.log
    assert not (tmp_path / "home" / "studio.db").exists()


def _submit(client: httpx2.Client, number: int) -> str:
    body = {
        "prompt": {"text": f"take number {number}"},
        "num_samples": TAKES,
        "generation_params": {"seed": number, "duration": 2},
    }
    answer = client.post("/generate", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def finished_in_spite_of_it(client: httpx2.Client, jobs: list[str]) -> list[dict[str, Any]]:
    """As a client does that was told to try again in a few seconds."""
    until = time.monotonic() + 120
    while client.get("/generate").status_code != 200:
        assert time.monotonic() < until
        time.sleep(0.1)
    return finished(client, jobs, timeout_seconds=120)


def _takes(server: PostgreSQL) -> int:
    engine = open_engine(server.url("studio"))
    with engine.connect() as connection:
        count = connection.execute(text("SELECT count(*) FROM audio_samples")).scalar()
    engine.dispose()
    return int(count or 0)


def _wait_for_takes(server: Server, database: PostgreSQL, *, more_than: int) -> None:
    server.wait_until(lambda: _takes(database) > more_than, timeout_seconds=60)
