"""What can go wrong around a real server: each fault says what to do, and loses nothing."""

import os
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.figures import RecordFigure
from tests.servers import Server, finished, served

CAN_MOUNT = os.geteuid() == 0


def test_a_database_locked_by_another_program_says_so_and_recovers(server: Server) -> None:
    with closing(sqlite3.connect(server.home / "studio.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = _submit(server)
        assert answer.status_code == 503
        problem = answer.json()
        assert problem["code"] == "database_busy"
        assert "another program keeps the database locked" in problem["detail"]
        assert httpx2.get(f"{server.url}/prompts", timeout=30).status_code == 200  # reading goes on
        other.execute("ROLLBACK")
    job_id = _submit(server).json()["id"]
    with server.client() as client:
        [job] = finished(client, [job_id], timeout_seconds=60)
    assert job["status"] == "succeeded"


@pytest.mark.slow
def test_a_lock_while_a_job_runs_costs_time_and_nothing_else(tmp_path: Path) -> None:
    with served(tmp_path / "home", LEASE_SECONDS="3", SWEEP_SECONDS="1") as server:
        job_id = _submit(server, duration=10, takes=2).json()["id"]
        server.wait_until(lambda: _status(server, job_id) == "running", timeout_seconds=30)
        with closing(sqlite3.connect(server.home / "studio.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            time.sleep(8)  # longer than the lease and than SQLite's patience
            other.execute("ROLLBACK")
        with server.client() as client:
            [job] = finished(client, [job_id], timeout_seconds=120)
    assert job["status"] == "succeeded", job
    assert len({sample["id"] for sample in job["samples"]}) == 2


@pytest.mark.slow
@pytest.mark.skipif(not CAN_MOUNT, reason="a small disk can be mounted by root alone: run as root")
def test_a_full_disk_is_told_and_the_job_succeeds_once_there_is_space(tmp_path: Path) -> None:
    with _small_disk(tmp_path / "disk", megabytes=2) as disk:
        blobs = f"file://{disk}/blobs"
        with served(tmp_path / "home", BLOBS_URL=blobs, SWEEP_SECONDS="0.5") as server:
            filler = disk / "filler"
            filler.write_bytes(bytes(1_900_000))
            job_id = _submit(server, duration=4, takes=2).json()["id"]
            server.wait_until(lambda: _error(server, job_id) == "storage_full", timeout_seconds=60)
            job = httpx2.get(f"{server.url}/generate/{job_id}", timeout=30).json()
            assert "free some space" in job["error"]["message"]
            filler.unlink()
            with server.client() as client:
                [job] = finished(client, [job_id], timeout_seconds=60)
                if job["status"] == "failed":  # the three attempts were over before the space was there
                    retried = client.post(f"/generate/{job_id}/retry").json()
                    [job] = finished(client, [retried["id"]], timeout_seconds=60)
        assert job["status"] == "succeeded", job
        assert not list((disk / "blobs" / ".staging").glob("*"))


def test_a_cancel_frees_the_worker_for_the_next_job(server: Server, record_figure: RecordFigure) -> None:
    long_job = _submit(server, duration=30, takes=8).json()["id"]
    server.wait_until(lambda: _status(server, long_job) == "running", timeout_seconds=30)
    cancelled_at = time.monotonic()
    answer = httpx2.delete(f"{server.url}/generate/{long_job}", timeout=30).json()
    assert answer["changed"] is True
    assert answer["job"]["status"] == "cancelled"
    next_job = _submit(server, seed=5).json()["id"]
    server.wait_until(lambda: _status(server, next_job) != "queued", timeout_seconds=30)
    freed_after = time.monotonic() - cancelled_at
    with server.client() as client:
        [job] = finished(client, [next_job], timeout_seconds=60)
        alone = client.post("/generate", json={"from_sample": job["samples"][0]["id"]}).json()["id"]
        [again] = finished(client, [alone], timeout_seconds=60)
        digests = {
            client.get(f"/audio/{each['samples'][0]['id']}").json()["codes_sha256"] for each in (job, again)
        }
    assert len(digests) == 1  # the job after a cancel is unharmed
    record_figure("from cancel to the next job's start", freed_after, "s")


def test_a_missing_file_is_told_by_name(server: Server) -> None:
    job_id = _submit(server).json()["id"]
    with server.client() as client:
        [job] = finished(client, [job_id], timeout_seconds=60)
        sample = client.get(f"/audio/{job['samples'][0]['id']}").json()
        (server.home / "blobs" / sample["storage_path"]).unlink()
        answer = client.get(sample["stream_url"])
    assert answer.json()["code"] == "blob_missing"
    assert "--from-sample" in answer.json()["detail"]


def _submit(server: Server, *, duration: float = 1, takes: int = 1, seed: int = 7) -> httpx2.Response:
    body = {
        "prompt": {"text": "a slow walk home"},
        "num_samples": takes,
        "generation_params": {"seed": seed, "duration": duration},
    }
    return httpx2.post(f"{server.url}/generate", json=body, timeout=60)


def _status(server: Server, job_id: str) -> str:
    return str(httpx2.get(f"{server.url}/generate/{job_id}", timeout=30).json()["status"])


def _error(server: Server, job_id: str) -> str | None:
    error = httpx2.get(f"{server.url}/generate/{job_id}", timeout=30).json()["error"]
    return str(error["code"]) if error else None


@contextmanager
def _small_disk(folder: Path, *, megabytes: int) -> Iterator[Path]:
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode != 0:
        pytest.skip(f"this machine lets nobody mount a small disk: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
