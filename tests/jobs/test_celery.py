"""What is the Celery queue's own, on a real server that dies, freezes and forgets."""

import logging
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.doorbells import Broker, opened_broker
from tests.jobs.tls import opened_door
from tests.jobs.workshop import Workshop, finish_all, names_of_threads, statuses, submit, wait_until
from tests.rows import MODEL
from text2song.generation.tables import KIND, GenerationJob
from text2song.jobs.celery import PASSES_AT_MOST, CeleryQueue, build_app
from text2song.jobs.lifecycle import Claim
from text2song.jobs.ringer import BELLS_AT_MOST, TASK, queue_name
from text2song.jobs.runner import Runner
from text2song.jobs.shift import Shift
from text2song.settings import Settings
from text2song.studio import Studio, open_studio

NEVER_SECONDS = 3600.0


@dataclass
class Office:
    """A studio whose bells go through a server, and a shop that listens there."""

    queue: CeleryQueue
    studio: Studio
    shop: Workshop
    runner: Runner

    def submit(self) -> None:
        submit(self.studio, {})
        self.queue.ring(KIND)

    def wait_for(self, count: int) -> None:
        wait_until(lambda: statuses(self.studio) == ["succeeded"] * count)


@contextmanager
def opened_office(url: str, settings: Settings) -> Iterator[Office]:
    with closing(CeleryQueue(url)) as queue:
        studio = open_studio(settings, queue=queue)
        shop = Workshop(studio)
        yield Office(queue, studio, shop, shop.runner(queue=queue))
        studio.engine.dispose()


@contextmanager
def working(office: Office, *, sweep_seconds: float = NEVER_SECONDS) -> Iterator[None]:
    has_swept = threading.Event()
    office.queue.start(office.runner, sweep_seconds=sweep_seconds, rounds=(has_swept.set,))
    try:
        assert has_swept.wait(20)  # the first sweep rings for what is there: from now on, it is not that
        yield
    finally:
        office.queue.stop(office.runner)


@pytest.fixture
def office(broker: Broker, settings: Settings) -> Iterator[Office]:
    with opened_office(broker.url, settings) as opened:
        yield opened


@pytest.fixture
def mortal_office(mortal_broker: Broker, settings: Settings) -> Iterator[Office]:
    with opened_office(mortal_broker.url, settings) as opened:
        yield opened


def test_its_threads_end_with_it(office: Office) -> None:
    names = {"bells", "sweep", "look without bells"}
    with working(office):
        assert office.queue.is_alive
        assert names <= names_of_threads()
    office.queue.close()
    assert not (names | {"ringer"}) & names_of_threads()


def test_bells_that_nobody_hears_do_not_pile_up(office: Office, broker: Broker) -> None:
    for _ in range(5 * BELLS_AT_MOST):
        office.queue.ring(KIND)
        time.sleep(0.001)
    office.queue.close()  # all were sent
    assert 1 <= broker.bells(KIND) <= BELLS_AT_MOST


def test_an_idle_worker_hears_at_once_and_no_bell_is_left(office: Office, broker: Broker) -> None:
    waited = []
    with working(office):
        for count in range(1, 6):
            began = time.monotonic()
            office.submit()
            office.wait_for(count)
            waited.append(time.monotonic() - began)
        wait_until(lambda: broker.bells(KIND) == 0)
    assert sorted(waited)[2] < 0.5


def test_a_busy_worker_leaves_the_bells_to_others(office: Office, broker: Broker) -> None:
    may_end = threading.Event()

    def act(shop: Workshop, claims: Sequence[Claim], shift: Shift) -> None:
        may_end.wait(20)
        finish_all(shop, claims, shift)

    office.shop.act = act
    with working(office):
        office.submit()
        wait_until(lambda: bool(office.shop.batches))
        for _ in range(3):
            office.queue.ring(KIND)
        wait_until(lambda: broker.bells(KIND) == 3)
        time.sleep(1.2)  # longer than one look at the server takes
        assert broker.bells(KIND) == 3
        with broker.client() as client:  # nothing waits there for an acknowledgement
            assert {str(key).partition(".")[0] for key in client.keys("*")} == {"_kombu", "text2song"}
        may_end.set()
        wait_until(lambda: broker.bells(KIND) == 0)


def test_a_bell_for_another_worker_is_passed_on_and_not_for_ever(office: Office, broker: Broker) -> None:
    office.shop.where = GenerationJob.model == "another/model"
    heard: list[bool] = []
    run = office.runner.run

    def counted(kind: str, *, beside: Collection[str]) -> bool:
        heard.append(run(kind, beside=beside))
        return heard[-1]

    office.runner.run = counted  # type: ignore[assignment, method-assign]  # to count
    with working(office):
        submit(office.studio, {"model": MODEL})
        office.queue.ring(KIND)
        wait_until(lambda: len(heard) > PASSES_AT_MOST)
        time.sleep(0.3)
        assert broker.bells(KIND) == 0
    assert len(heard) == PASSES_AT_MOST + 1
    assert statuses(office.studio) == ["queued"]


def test_an_emptied_server_costs_nothing(office: Office, broker: Broker) -> None:
    with working(office), broker.client() as client:
        office.submit()
        office.wait_for(1)
        client.flushall()
        office.submit()
        office.wait_for(2)


@pytest.mark.parametrize("task", ["celery.backend_cleanup", "celery.map", "os.system"])
def test_a_message_can_ask_for_nothing_but_work(
    office: Office, broker: Broker, caplog: pytest.LogCaptureFixture, task: str
) -> None:
    app = build_app(broker.url, patience_seconds=5)
    with working(office):
        for name in (task, TASK):
            app.send_task(name, ("nothing of that kind",), queue=queue_name(KIND))
        app.send_task(TASK, (KIND,), queue=queue_name(KIND), serializer="pickle")
        office.submit()
        office.wait_for(1)
        assert office.queue.is_alive
    app.close()
    refused = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert any(f"unregistered task of type '{task}'" in message for message in refused)
    assert any("pickle" in message for message in refused)


@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_ringing_returns_at_once_and_tells_of_an_outage_once(
    mortal_office: Office, mortal_broker: Broker, fault: str
) -> None:
    queue = mortal_office.queue
    queue.ring(KIND)
    wait_until(lambda: mortal_broker.bells(KIND) == 1)
    with capture_logs() as lines:
        mortal_broker.kill() if fault == "killed" else mortal_broker.freeze()
        slowest = 0.0
        for _ in range(40):
            began = time.monotonic()
            queue.ring(KIND)
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.05)
        wait_until(lambda: bool(lines))
        mortal_broker.start() if fault == "killed" else mortal_broker.wake()
        time.sleep(0.3)
        before = mortal_broker.bells(KIND)
        assert before <= 3  # what was rung meanwhile is not rung now

        def is_rung() -> bool:
            queue.ring(KIND)
            return mortal_broker.bells(KIND) > before

        wait_until(is_rung)
        wait_until(lambda: len(lines) == 2)
    assert slowest < 0.2
    assert [(line["event"], line["what"]) for line in lines] == [
        ("out of reach", "who rings"),
        ("reached again", "who rings"),
    ]


def test_without_a_server_a_worker_looks_for_work_by_itself(
    mortal_office: Office, mortal_broker: Broker
) -> None:
    mortal_broker.kill()
    with working(mortal_office, sweep_seconds=0.1):
        mortal_office.submit()
        mortal_office.wait_for(1)
        mortal_broker.start()
        wait_until(lambda: not mortal_office.queue._hearing.is_on)
        mortal_office.submit()
        mortal_office.wait_for(2)


def test_a_server_that_was_restarted_is_heard_again(mortal_office: Office, mortal_broker: Broker) -> None:
    with capture_logs() as lines, working(mortal_office):
        mortal_office.submit()
        mortal_office.wait_for(1)
        mortal_broker.kill()
        wait_until(lambda: mortal_office.queue._hearing.is_on)
        time.sleep(2.5)  # a few attempts, of which nobody is told
        mortal_broker.start()
        wait_until(lambda: not mortal_office.queue._hearing.is_on)
        mortal_office.submit()
        mortal_office.wait_for(2)
    events = [line["event"] for line in lines if line.get("what") == "who listens"]
    assert events == ["out of reach", "reached again"]


def test_a_worker_ends_also_while_the_server_is_away(mortal_office: Office, mortal_broker: Broker) -> None:
    mortal_broker.kill()
    began = time.monotonic()
    with working(mortal_office):
        wait_until(lambda: mortal_office.queue._hearing.is_on)
    assert time.monotonic() - began < 5
    assert "bells" not in names_of_threads()


def test_the_password_opens_the_door_and_is_told_to_nobody(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with opened_broker(password="open-sesame") as broker, capture_logs() as lines:
        with opened_office(broker.url, settings) as office, working(office):
            office.submit()
            office.wait_for(1)
            broker.kill()
            wait_until(lambda: office.queue._hearing.is_on)
            office.queue.ring(KIND)
            wait_until(lambda: office.queue._ringing.is_on)
            broker.start()
            wait_until(lambda: not office.queue._hearing.is_on)
        wrong = broker.url.replace("open", "closed")
        with closing(CeleryQueue(wrong)) as queue:
            queue.ring(KIND)
            wait_until(lambda: queue._ringing.is_on)
    told = caplog.text + repr(lines)
    assert "invalid username-password pair" in told
    assert "***@127.0.0.1" in told
    assert "sesame" not in told


def test_over_tls_only_a_server_that_is_trusted_is_told_anything(
    broker: Broker, settings: Settings, tmp_path: Path
) -> None:
    with opened_door(tmp_path, port=broker.port) as (port, certificate):
        stranger = f"rediss://127.0.0.1:{port}/0"
        with closing(CeleryQueue(stranger)) as queue, capture_logs() as lines:
            queue.ring(KIND)
            wait_until(lambda: bool(lines))
            assert "CERTIFICATE_VERIFY_FAILED" in lines[0]["error"]
            assert broker.bells(KIND) == 0
        trusted = f"{stranger}?ssl_ca_certs={certificate}"
        with opened_office(trusted, settings) as office, working(office):
            office.submit()
            office.wait_for(1)


def test_another_program_s_celery_is_not_meant(
    broker: Broker, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:1/0")
    with opened_office(broker.url, settings) as office, working(office):
        office.submit()
        office.wait_for(1)
        assert not office.queue._ringing.is_on
        assert not office.queue._hearing.is_on
