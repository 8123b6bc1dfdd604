"""`kill -9` of a real server at any moment: every accepted job ends succeeded, no take lost, none doubled.

The long form of each test is a proof; each start of a server costs six seconds of a core.
"""

import hashlib
import random
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import create_engine

from tests.figures import RecordFigure
from tests.servers import Server, finished, served

JOBS_OF_A_ROUND = 2
LEASE_SECONDS = 2.0
SWEEP_SECONDS = 1.0


@pytest.mark.parametrize(
    ("seed", "kills", "jobs_before"),
    [
        pytest.param(7, 2, 4, marks=pytest.mark.slow, id="two"),
        *(pytest.param(seed, 5, 10, marks=pytest.mark.proof, id=f"five-{seed}") for seed in range(6)),
    ],
)
def test_jobs_survive_kills(
    seed: int, kills: int, jobs_before: int, tmp_path: Path, record_figure: RecordFigure
) -> None:
    chance = random.Random(seed)
    pace = {"LEASE_SECONDS": str(LEASE_SECONDS), "SWEEP_SECONDS": str(SWEEP_SECONDS)}
    with served(tmp_path / "home", **pace) as server:
        accepted = [_submitted(server, number) for number in range(jobs_before)]
        slowest_reclaim = 0.0
        for round_number in range(kills):
            accepted += [_submitted(server, len(accepted) + n) for n in range(JOBS_OF_A_ROUND)]
            time.sleep(chance.uniform(0.05, 1.0))
            server.kill()
            _require_no_row_without_bytes(server)
            server.start()
            slowest_reclaim = max(slowest_reclaim, _seconds_until_work_goes_on(server, round_number))
        with server.client() as client:
            jobs = finished(client, accepted, timeout_seconds=240)
        assert [job["status"] for job in jobs] == ["succeeded"] * len(accepted)
        _require_every_take_once(server, jobs)
        _require_no_row_without_bytes(server)
        assert server.stop() == 0
    record_figure("kills survived", kills, "kills")
    record_figure("jobs succeeded", len(jobs), "jobs")
    record_figure("slowest new claim after a restart", slowest_reclaim, "s")


@pytest.mark.proof  # in short: cli/serve/test_command.py stops a server, worker/test_main.py goes on
def test_a_stopped_server_hands_its_work_back_at_once(tmp_path: Path) -> None:
    with served(tmp_path / "home") as server:
        job_id = _submitted(server, 0, duration=30)
        server.wait_until(lambda: _status(server, job_id) == "running", timeout_seconds=30)
        assert server.stop() == 0
        assert _stored_status(server, job_id) == "queued"  # not waiting for a lease to run out
        server.start()
        with server.client() as client:
            [job] = finished(client, [job_id], timeout_seconds=120)
        assert job["status"] == "succeeded"
        assert job["attempts"] == 1  # what was handed back does not count


def _submitted(server: Server, number: int, *, duration: float = 2) -> str:
    body = {
        "prompt": {"text": f"take number {number}"},
        "num_samples": 1 + number % 3,
        "generation_params": {"seed": number, "duration": duration},
    }
    # A client that did not hear an answer asks again with the same key: the job is still one job.
    answer = httpx2.post(
        f"{server.url}/generate", json=body, headers={"Idempotency-Key": f"job-{number}"}, timeout=30
    )
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def _status(server: Server, job_id: str) -> str:
    return str(httpx2.get(f"{server.url}/generate/{job_id}", timeout=30).json()["status"])


def _rows(server: Server, query: str) -> list[tuple[object, ...]]:
    engine = create_engine(f"sqlite:///{server.home / 'studio.db'}")
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.exec_driver_sql(query)]
    engine.dispose()
    return rows


def _stored_status(server: Server, job_id: str) -> str:
    plain = job_id.replace("-", "")
    return str(_rows(server, f"SELECT status FROM generation_jobs WHERE id = '{plain}'")[0][0])  # noqa: S608  # an id of ours


def _seconds_until_work_goes_on(server: Server, round_number: int) -> float:
    """After a restart no job may stay with the dead worker for longer than lease + sweep."""
    began = time.monotonic()
    limit = LEASE_SECONDS + SWEEP_SECONDS
    orphaned = "SELECT count(*) FROM generation_jobs WHERE status = 'running' AND claimed_by NOT LIKE '%:{}'"
    assert server.process is not None
    query = orphaned.format(server.process.pid)
    while _rows(server, query) != [(0,)]:
        waited = time.monotonic() - began
        assert waited < limit + 2, f"round {round_number}: not claimed again after {waited:.1f} s"
        time.sleep(0.05)
    return time.monotonic() - began


def _require_every_take_once(server: Server, jobs: list[dict[str, Any]]) -> None:
    samples = [sample["id"] for job in jobs for sample in job["samples"]]
    wanted = sum(1 + number % 3 for number in range(len(jobs)))
    assert len(samples) == len(set(samples)) == wanted
    assert _rows(server, "SELECT count(*) FROM audio_samples") == [(wanted,)]
    doubled = "SELECT job_id, take FROM generation_takes GROUP BY job_id, take HAVING count(*) > 1"
    assert _rows(server, doubled) == []


def _require_no_row_without_bytes(server: Server) -> None:
    """Sound, outline and codes: there, and whole; a blob's name is the digest of its bytes."""
    rows = _rows(server, "SELECT sha256, storage_path, peaks_path, codes_path FROM audio_samples")
    for sha256, *paths in rows:
        digests = [hashlib.sha256((server.home / "blobs" / str(p)).read_bytes()).hexdigest() for p in paths]
        assert digests == [Path(str(path)).name.partition(".")[0] for path in paths]
        assert digests[0] == sha256
