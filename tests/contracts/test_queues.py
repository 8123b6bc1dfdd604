"""The contract of `JobQueue`, held against every backend by one suite.

A backend brings a queue and a way to have a runner listen to it. What is promised is the same for
all: a bell wakes, a doubled one is harmless, a lost one costs a sweep, and ringing never fails.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace

import pytest

from tests.jobs.workshop import PACE, Workshop, finish_all, jobs_of, statuses, submit, wait_until
from tests.rows import MODEL
from text2song.errors import DatabaseBusy
from text2song.generation.tables import KIND, GenerationJob
from text2song.jobs.hosting import WorkerQueue
from text2song.jobs.lifecycle import Claim
from text2song.jobs.open import open_queue
from text2song.jobs.queue import SilentQueue
from text2song.jobs.runner import Runner
from text2song.jobs.shift import Shift
from text2song.settings import Settings
from text2song.studio import Studio, open_studio

NEVER_SECONDS = 3600.0
"""A sweep that does not come while a test runs: what happens was the bell's doing."""


@dataclass(frozen=True)
class Backend:
    """A queue, and workers that listen to it until the `with` block ends."""

    queue: WorkerQueue

    @contextmanager
    def listen(self, runner: Runner, *, sweep_seconds: float) -> Iterator[None]:
        self.queue.start(runner, sweep_seconds=sweep_seconds)
        try:
            yield
        finally:
            self.queue.stop(runner)


@pytest.fixture(params=["thread", "celery"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    url = "thread://" if request.param == "thread" else request.getfixturevalue("broker").url
    with closing(open_queue(url)) as queue:
        yield Backend(queue)


@dataclass(frozen=True)
class House:
    """A studio whose bells are the backend's, and a shop that works there."""

    backend: Backend
    studio: Studio
    shop: Workshop

    def working(self, *, sweep_seconds: float = NEVER_SECONDS) -> AbstractContextManager[None]:
        runner = self.shop.runner(queue=self.backend.queue, pace=PACE)
        return self.backend.listen(runner, sweep_seconds=sweep_seconds)

    def submit(self, *, count: int = 1, rings: int = 1) -> None:
        submit(self.studio, *[{}] * count)
        for _ in range(rings):
            self.backend.queue.ring(KIND)

    def wait_for(self, *expected: str) -> None:
        wait_until(lambda: statuses(self.studio) == list(expected))


@pytest.fixture
def house(backend: Backend, settings: Settings) -> Iterator[House]:
    studio = open_studio(settings, queue=backend.queue)
    yield House(backend, studio, Workshop(studio))
    studio.engine.dispose()


def test_a_bell_wakes_a_worker(house: House) -> None:
    with house.working():
        house.submit()
        house.wait_for("succeeded")
        house.submit()  # and again, after it has slept
        house.wait_for("succeeded", "succeeded")


def test_doubled_bells_do_no_job_twice(house: House) -> None:
    with house.working():
        for _ in range(10):
            house.submit(rings=20)
        house.wait_for(*["succeeded"] * 10)
        house.backend.queue.ring(KIND)
    done = [job_id for batch in house.shop.batches for job_id in batch]
    assert len(done) == len(set(done)) == 10


def test_bells_rung_by_many_threads_at_once_are_all_heard(house: House) -> None:
    with house.working():
        ringers = [threading.Thread(target=house.submit) for _ in range(8)]
        for ringer in ringers:
            ringer.start()
        for ringer in ringers:
            ringer.join(20)
        house.wait_for(*["succeeded"] * 8)


def test_a_lost_bell_costs_a_sweep(house: House) -> None:
    with house.working(sweep_seconds=0.05):
        house.submit(rings=0)
        house.wait_for("succeeded")


def test_what_was_rung_before_anybody_listened_is_done(house: House) -> None:
    house.submit(rings=3)
    with house.working():
        house.wait_for("succeeded")


def test_ringing_never_fails(house: House) -> None:
    house.backend.queue.ring(KIND)
    house.backend.queue.ring("a kind that nobody knows")
    with house.working():
        house.backend.queue.ring("a kind that nobody knows")
    house.backend.queue.ring(KIND)  # after the end
    SilentQueue().ring(KIND)


def test_an_error_in_one_round_does_not_end_the_worker(house: House) -> None:
    failures: list[str] = []
    whole = house.studio.work

    @contextmanager
    def work() -> Iterator[object]:
        if len(failures) < 3:
            failures.append("one more")
            raise DatabaseBusy("locked")
        with whole() as unit:
            yield unit

    runner = Runner(work, house.backend.queue, {KIND: house.shop}, worker="w", pace=PACE)  # type: ignore[arg-type]  # a unit that fails
    with house.backend.listen(runner, sweep_seconds=0.05):
        house.submit()
        house.wait_for("succeeded")
    assert len(failures) == 3


def test_a_bell_that_rings_while_a_worker_is_busy_is_heard_afterwards(house: House) -> None:
    may_end = threading.Event()

    def act(shop: Workshop, claims: Sequence[Claim], shift: Shift) -> None:
        may_end.wait(20)
        finish_all(shop, claims, shift)

    house.shop.act = act
    with house.working():
        house.submit()
        wait_until(lambda: len(house.shop.batches) == 1)
        house.submit()
        may_end.set()
        house.wait_for("succeeded", "succeeded")


def test_the_end_of_a_slice_is_the_beginning_of_the_next(house: House) -> None:
    def act(shop: Workshop, claims: Sequence[Claim], shift: Shift) -> None:
        finish_all(shop, claims, shift)
        threading.Event().wait(0.06)

    house.shop.act, house.shop.capacity, house.shop.where = act, 1, GenerationJob.model == MODEL
    other = Workshop(house.studio, where=GenerationJob.model == "another")
    pace = replace(PACE, slice_seconds=0.05)
    runner = house.shop.runner(queue=house.backend.queue, pace=pace, others={"export": other})
    with house.backend.listen(runner, sweep_seconds=NEVER_SECONDS):
        submit(house.studio, *[{}] * 5, {"model": "another"})
        house.backend.queue.ring(KIND)
        house.backend.queue.ring("export")
        house.wait_for(*["succeeded"] * 6)


def test_stopping_hands_back_what_runs(house: House) -> None:
    def act(_shop: object, _claims: object, shift: Shift) -> None:
        wait_until(shift.is_stopping)

    house.shop.act = act
    with house.working():
        house.submit(count=3)
        wait_until(lambda: bool(house.shop.batches))
    assert statuses(house.studio) == ["queued"] * 3


def test_draining_lets_what_runs_end_and_claims_no_more(house: House) -> None:
    may_end = threading.Event()

    def act(shop: Workshop, claims: Sequence[Claim], shift: Shift) -> None:
        assert may_end.wait(20)
        time.sleep(0.2)
        assert not shift.is_stopping()
        finish_all(shop, claims, shift)

    house.shop.act, house.shop.capacity = act, 1
    queue, runner = house.backend.queue, house.shop.runner(queue=house.backend.queue)
    queue.start(runner, sweep_seconds=NEVER_SECONDS)
    assert queue.is_alive
    house.submit(count=2)
    wait_until(lambda: bool(house.shop.batches))
    may_end.set()
    queue.stop(runner, drain_seconds=20)
    assert statuses(house.studio) == ["succeeded", "queued"]
    assert not queue.is_alive


def test_what_a_drain_does_not_see_the_end_of_is_handed_back(house: House) -> None:
    def act(_shop: object, _claims: object, shift: Shift) -> None:
        wait_until(shift.is_stopping)

    house.shop.act = act
    queue, runner = house.backend.queue, house.shop.runner(queue=house.backend.queue)
    queue.start(runner, sweep_seconds=NEVER_SECONDS)
    house.submit(count=2)
    wait_until(lambda: bool(house.shop.batches))
    began = time.monotonic()
    queue.stop(runner, drain_seconds=0.5)
    assert 0.5 <= time.monotonic() - began < 10
    assert [(job.status, job.attempts) for job in jobs_of(house.studio)] == [("queued", 0)] * 2
