"""Workers in processes of their own: woken, shared between, killed, drained, and their Redis with them."""

import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.worksite import LEASE_SECONDS, SWEEP_SECONDS, Worksite, opened_worksite
from tests.figures import RecordFigure
from text2song.generation.tables import GenerationJob

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, _migrated_database: Path, _models_folder: Path
) -> Iterator[Worksite]:
    folder = tmp_path_factory.mktemp("worksite")
    with opened_worksite(folder, database=_migrated_database, models=_models_folder) as opened:
        yield opened
    logs = "".join(worker.log.read_text() for worker in opened.workers)
    assert "sesame" not in logs
    assert "Traceback" not in logs


def test_an_idle_worker_wakes_at_once(site: Worksite, record_figure: RecordFigure) -> None:
    site.living(2)
    waited = []
    for _ in range(9):
        [job] = site.finished(site.submit())
        assert job.started_at is not None
        waited.append((job.started_at - job.created_at).total_seconds())
        time.sleep(0.2)
    record_figure("from submission to the worker's claim, through Redis, median of 9", sorted(waited)[4], "s")
    assert sorted(waited)[4] < 0.3  # a sweep comes every two seconds


@pytest.mark.parametrize("count", [30, pytest.param(300, marks=pytest.mark.proof)])
def test_two_workers_share_the_jobs_and_do_each_once(
    site: Worksite, count: int, record_figure: RecordFigure
) -> None:
    site.living(2)
    began = time.monotonic()
    ids = [site.submit() for _ in range(count)]
    jobs = site.finished(*ids, timeout_seconds=30 + count)
    record_figure(f"{count} jobs that two workers shared", count / (time.monotonic() - began), "jobs/s")
    assert {_course_of(job) for job in jobs} == {("succeeded", 1)}
    site.require_each_take_once(ids, takes=count)
    shares = Counter(job.claimed_by for job in jobs)
    assert len(shares) == 2
    assert min(shares.values()) >= count // 10


def test_a_redis_that_forgets_everything_costs_no_job(site: Worksite) -> None:
    site.living(2)
    ids = []
    for _ in range(10):
        ids.append(site.submit())
        with site.broker.client() as client:
            client.flushall()
    assert {job.status for job in site.finished(*ids)} == {"succeeded"}
    site.require_each_take_once(ids, takes=10)


def test_a_redis_that_dies_stops_neither_submission_nor_work(
    site: Worksite, record_figure: RecordFigure
) -> None:
    site.living(2)
    site.broker.kill()
    slowest = 0.0
    ids = []
    for _ in range(6):
        began = time.monotonic()
        ids.append(site.submit())
        slowest = max(slowest, time.monotonic() - began)
    began = time.monotonic()
    without = site.finished(*ids)
    record_figure("six jobs without Redis, sweeps of 2 s", time.monotonic() - began, "s")
    site.broker.start()
    ids += [site.submit() for _ in range(6)]
    jobs = without + site.finished(*ids)
    assert {_course_of(job) for job in jobs} == {("succeeded", 1)}
    site.require_each_take_once(ids, takes=12)
    record_figure("slowest submission while Redis was dead", slowest, "s")
    assert slowest < 1.0


def test_a_worker_that_is_killed_at_work_loses_no_take_and_doubles_none(
    site: Worksite, record_figure: RecordFigure
) -> None:
    site.living(2)
    job_id = site.submit(takes=3, duration_seconds=4)  # two at the same time, then one
    site.wait_until(lambda: site.job(job_id).progress > 0.1)
    victim = site.job(job_id).claimed_by
    site.worker_of(job_id).signal(signal.SIGKILL)
    killed_at = time.monotonic()
    site.wait_until(lambda: site.job(job_id).claimed_by != victim)
    waited = time.monotonic() - killed_at
    [job] = site.finished(job_id, timeout_seconds=120)
    assert (job.status, job.lost_leases, job.failures) == ("succeeded", 1, 0)
    site.require_each_take_once([job_id], takes=3)
    record_figure("from kill -9 to the next worker's claim, lease 5 s and sweep 2 s", waited, "s")
    assert waited < LEASE_SECONDS + SWEEP_SECONDS + 2


def test_a_worker_that_is_asked_to_stop_ends_what_it_is_at_and_claims_no_more(site: Worksite) -> None:
    [worker, *_] = site.living(1)
    for other in site.workers:
        if other is not worker:
            other.signal(signal.SIGTERM)
    running = site.submit(takes=2, duration_seconds=12)
    site.wait_until(lambda: site.job(running).progress > 0)
    assert site.worker_of(running) is worker
    waiting = site.submit()
    worker.signal(signal.SIGTERM)
    assert worker.ended() == 0
    assert [site.job(i).status for i in (running, waiting)] == ["succeeded", "queued"]
    assert _course_of(site.job(running)) == ("succeeded", 1)


def test_what_does_not_end_in_time_goes_back_to_the_queue(site: Worksite, tmp_path: Path) -> None:
    well = tmp_path / "well"
    worker = site.hire("--drain-seconds", "0.5", "--health-file", str(well), "--queues", "generation")
    site.wait_for(worker)
    job_id = site.submit(takes=2, duration_seconds=30)
    site.wait_until(lambda: site.job(job_id).progress > 0)
    site.wait_until(well.exists)
    worker.signal(signal.SIGTERM)
    assert worker.ended() == 0
    job = site.job(job_id)
    assert (job.status, job.attempts, job.lost_leases) == ("queued", 0, 0)
    assert not well.exists()


@pytest.mark.proof
def test_a_second_signal_ends_a_worker_at_once(site: Worksite) -> None:
    site.living(1)
    job_id = site.submit(takes=2, duration_seconds=30)
    site.wait_until(lambda: site.job(job_id).progress > 0)
    worker = site.worker_of(job_id)
    worker.signal(signal.SIGTERM)
    time.sleep(0.5)
    assert worker.process.poll() is None  # it has half a minute
    asked_at = time.monotonic()
    worker.signal(signal.SIGTERM)
    assert worker.ended() == 130
    assert time.monotonic() - asked_at < 5


def _course_of(job: GenerationJob) -> tuple[str, int]:
    """How it ended, and its attempts that were not lost: five seconds are a short lease on a busy machine."""
    return job.status, job.attempts - job.lost_leases
