import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from fastapi import APIRouter
from httpx2 import ASGITransport, AsyncClient
from structlog.testing import capture_logs

from tests.api.edge import LOOPBACK, make_client
from tests.db.disks import forbid_writing, small_disk
from tests.doorbells import Broker
from text2song import __version__
from text2song.api import health
from text2song.api.app import create_app
from text2song.api.health import ReadyCheck
from text2song.api.main import build_api
from text2song.blobs.local import LocalBlobs
from text2song.errors import DatabaseBusy
from text2song.studio import Studio


@dataclass
class Watch:
    """In place of the module `time`."""

    monotonic: Callable[[], float]


def fine() -> None:
    pass


def locked() -> None:
    raise DatabaseBusy("it is locked by another program")


def broken() -> None:
    raise RuntimeError("secret")


def test_the_process_says_that_it_lives() -> None:
    client = make_client(create_app(LOOPBACK, routers=[]))
    assert client.get("/healthz").json() == {"status": "ok", "version": __version__}


def test_it_is_ready_when_every_check_passes() -> None:
    checks = [ReadyCheck("database", fine), ReadyCheck("blobs", fine)]
    response = make_client(create_app(LOOPBACK, routers=[], ready_checks=checks)).get("/readyz")
    assert (response.status_code, response.json()["checks"]) == (200, ["database", "blobs"])


def test_it_names_all_that_is_not_ready() -> None:
    checks = [ReadyCheck("database", locked), ReadyCheck("blobs", fine), ReadyCheck("queue", broken)]
    with capture_logs() as lines:
        response = make_client(create_app(LOOPBACK, routers=[], ready_checks=checks)).get("/readyz")
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    detail = response.json()["detail"]
    assert "database: it is locked by another program" in detail
    assert "queue: the check itself broke" in detail
    assert "blobs" not in detail
    assert "secret" not in response.text
    assert [line["check"] for line in lines if line["event"] == "ready check broke"] == ["queue"]


def test_what_can_be_done_without_is_told_and_turns_nobody_away() -> None:
    checks = [ReadyCheck("database", fine), ReadyCheck("queue", locked, is_needed=False)]
    response = make_client(create_app(LOOPBACK, routers=[], ready_checks=checks)).get("/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ready",
        "checks": ["database"],
        "impaired": ["queue: it is locked by another program"],
    }
    worse = [*checks, ReadyCheck("blobs", locked)]
    response = make_client(create_app(LOOPBACK, routers=[], ready_checks=worse)).get("/readyz")
    assert response.status_code == 503
    assert "queue" not in response.json()["detail"]


def test_an_api_of_workers_elsewhere_tells_of_their_redis(
    studio: Studio, mortal_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("text2song.api.main.KEEP_SECONDS", 0.0)
    apart = replace(studio, settings=studio.settings.model_copy(update={"queue_url": mortal_broker.url}))
    client = make_client(build_api(apart))
    assert client.get("/readyz").json()["checks"] == ["database", "blobs", "queue"]
    mortal_broker.kill()
    with capture_logs() as lines:
        said = client.get("/readyz")
    assert (said.status_code, said.json()["checks"]) == (200, ["database", "blobs"])
    [impaired] = said.json()["impaired"]
    assert impaired.startswith("queue: its server cannot be used")
    assert str(mortal_broker.port) not in impaired  # nobody who is not logged in learns where it is
    [told] = [line for line in lines if line["event"] == "the queue's server cannot be used"]
    assert f"127.0.0.1:{mortal_broker.port}/0" in told["error"]


def test_an_answer_that_costs_something_is_kept_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    now = 1000.0

    def check() -> None:
        asked.append(now)
        if len(asked) == 1:
            locked()

    monkeypatch.setattr(health, "time", Watch(lambda: now))
    checks = [ReadyCheck("database", check, keep_seconds=3.0), ReadyCheck("worker", fine)]
    client = make_client(create_app(LOOPBACK, routers=[], ready_checks=checks))
    assert [client.get("/readyz").status_code for _ in range(3)] == [503] * 3
    now += 2.9
    assert client.get("/readyz").status_code == 503
    now += 0.1
    assert [client.get("/readyz").status_code for _ in range(3)] == [200] * 3
    assert asked == [1000.0, 1003.0]


def test_many_who_ask_at_once_wait_for_one_look() -> None:
    asked: list[int] = []

    def check() -> None:
        asked.append(1)
        time.sleep(0.2)

    checks = [ReadyCheck("database", check, keep_seconds=60.0)]
    client = make_client(create_app(LOOPBACK, routers=[], ready_checks=checks))
    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(lambda _: client.get("/readyz").status_code, range(8)))
    assert (statuses, asked) == ([200] * 8, [1])


def test_many_who_wait_for_a_look_leave_the_threads_to_others() -> None:
    router, ends = APIRouter(), threading.Event()

    @router.get("/thing")
    def read_thing() -> str:
        return "read"

    async def story() -> list[int]:
        app = create_app(LOOPBACK, routers=[router], ready_checks=[ReadyCheck("database", locked_until_end)])
        transport = ASGITransport(app, client=("127.0.0.1", 50000))
        async with AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            waiting = [asyncio.create_task(client.get("/readyz")) for _ in range(60)]
            await asyncio.sleep(0.2)
            waiting[0].cancel()
            try:
                read = await asyncio.wait_for(client.get("/thing"), timeout=20)
            finally:
                ends.set()
            answers = await asyncio.gather(*waiting[1:])
        return [read.status_code, *(answer.status_code for answer in answers)]

    def locked_until_end() -> None:
        ends.wait(60)
        locked()

    assert asyncio.run(story()) == [200] + [503] * 59


def test_what_never_answers_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "ANSWER_SECONDS", 0.2)
    thaws = threading.Event()

    def frozen() -> None:
        thaws.wait(5)

    client = make_client(create_app(LOOPBACK, routers=[], ready_checks=[ReadyCheck("database", frozen)]))
    refused = client.get("/readyz")
    thaws.set()
    assert (refused.status_code, client.get("/readyz").status_code) == (503, 200)
    assert "database: no answer within 0.2 seconds" in refused.json()["detail"]


def test_it_is_not_ready_while_a_disk_is_full(studio: Studio, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", megabytes=1) as disk:
        small = replace(studio, blobs=LocalBlobs(disk / "blobs"))
        (disk / "stuffing").write_bytes(bytes(1024 * 1024))
        detail = make_client(build_api(small)).get("/readyz").json()["detail"]
    assert "blobs: " in detail
    assert "full" in detail
    assert "database" not in detail


def test_it_is_not_ready_while_a_disk_can_only_be_read(studio: Studio, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", megabytes=1) as disk:
        small = replace(studio, blobs=LocalBlobs(disk / "blobs"))
        assert make_client(build_api(small)).get("/readyz").status_code == 200
        forbid_writing(disk)
        answer = make_client(build_api(small)).get("/readyz")
    assert answer.status_code == 503
    assert "cannot be written" in answer.json()["detail"]


def test_it_is_not_ready_while_another_program_keeps_the_database(studio: Studio) -> None:
    with closing(sqlite3.connect(studio.settings.home / "studio.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        detail = make_client(build_api(studio)).get("/readyz").json()["detail"]
        other.execute("ROLLBACK")
    assert "database: another program keeps the database locked" in detail
