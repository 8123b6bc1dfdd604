"""How fast the API answers, beside a bare FastAPI endpoint and nginx, in alternation in one run.

    python -m benchmarks.api            prints the tables of benchmarks/api.md
    python -m benchmarks.api --rounds 3 quicker, noisier

Needs nginx in PATH (Debian: apt-get install nginx-light). Nothing but this machine is asked.
"""

import argparse
import json
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2

from benchmarks.peers import nginx, running
from benchmarks.raw_http import Connection, Timing
from tests.servers import Server, free_port, served

REQUESTS: Final = 300
"""In each round of each case."""
WAITING_POLLS: Final = 500
SOUND_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that is asked again and again."""

    name: str
    port: int
    path: str
    is_stream: bool = False


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds: int = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        server = stack.enter_context(served(Path(folder) / "home"))
        job = _finished_job(server)
        sound = _stored_file(server, job)
        bare = stack.enter_context(_bare(Path(folder), job, sound))
        web, _ = stack.enter_context(nginx(Path(folder), sounds=[sound]))
        job_path, sound_path = f"/generate/{job['id']}", job["samples"][0]["stream_url"]
        print(f"{platform.processor() or platform.machine()}, {_cpu()}, Python {platform.python_version()}")
        _print_beside(
            f"GET /generate/{{id}}, {REQUESTS} requests a round on one connection",
            [Case("ours", server.port, job_path), Case("bare FastAPI", bare, "/job")],
            rounds=rounds,
        )
        _print_beside(
            f"First byte of a {sound.stat().st_size / 1e6:.1f} MB stream",
            [
                Case("ours", server.port, sound_path, is_stream=True),
                Case("bare FastAPI", bare, "/sound", is_stream=True),
                Case("nginx", web, f"/{sound.name}", is_stream=True),
            ],
            rounds=rounds,
        )
        _print_waiting(server, job, rounds=rounds)


def _print_beside(title: str, cases: Sequence[Case], *, rounds: int) -> None:
    seconds: dict[str, list[float]] = {case.name: [] for case in cases}
    for _ in range(rounds):
        for case in cases:
            seconds[case.name] += _measured(case)
    _print_table(title, seconds)


def _print_waiting(server: Server, job: dict[str, Any], *, rounds: int) -> None:
    """Other reads while nobody waits and while five hundred do, by turns."""
    waiting_for = _job_that_never_starts(server)
    cases = [
        Case("GET /generate/{id}", server.port, f"/generate/{job['id']}"),
        Case("GET /prompts/{id}", server.port, f"/prompts/{job['prompt_id']}"),
    ]
    for case in cases:
        seconds: dict[str, list[float]] = {"nobody waits": [], f"{WAITING_POLLS} polls wait": []}
        for _ in range(rounds):
            seconds["nobody waits"] += _measured(case)
            with _waiting_polls(server, waiting_for):
                seconds[f"{WAITING_POLLS} polls wait"] += _measured(case)
            time.sleep(0.5)  # the server notices that they left
        _print_table(f"{case.name} while others wait", seconds)


def _print_table(title: str, seconds: dict[str, list[float]]) -> None:
    first = next(iter(seconds))
    base = _percentile(seconds[first], 95)
    print(f"\n### {title}\n\n| | p50, ms | p95, ms | p95, ratio to {first} |\n|---|---|---|---|")
    for name, measured in seconds.items():
        p50, p95 = statistics.median(measured), _percentile(measured, 95)
        print(f"| {name} | {p50 * 1e3:.2f} | {p95 * 1e3:.2f} | {p95 / base:.2f} |")


def _measured(case: Case) -> list[float]:
    time_of: Callable[[Timing], float] = (
        (lambda t: t.first_byte_seconds) if case.is_stream else (lambda t: t.whole_seconds)
    )
    requests = REQUESTS // 6 if case.is_stream else REQUESTS
    with Connection(case.port) as connection:
        for _ in range(10):
            connection.get(case.path)
        timings = [connection.get(case.path) for _ in range(requests)]
    assert all(timing.status == 200 for timing in timings), case
    return [time_of(timing) for timing in timings]


def _percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


@contextmanager
def _waiting_polls(server: Server, job_id: str) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(WAITING_POLLS):
            connection = stack.enter_context(Connection(server.port))
            connection.send(f"/generate/{job_id}?wait=60&since=1000000")
        time.sleep(1.5)  # until the last of them is in its wait
        yield


def _finished_job(server: Server) -> dict[str, Any]:
    body = {
        "prompt": {"text": "a slow walk home"},
        "generation_params": {"duration": SOUND_SECONDS, "seed": 7},
    }
    with server.client() as client:
        job: dict[str, Any] = client.post("/generate", json=body).json()
        while job["status"] in {"queued", "running"}:
            job = client.get(f"/generate/{job['id']}", params={"wait": 30, "since": job["sequence"]}).json()
    assert job["status"] == "succeeded", job
    return job


def _stored_file(server: Server, job: dict[str, Any]) -> Path:
    sample = httpx2.get(f"{server.url}/audio/{job['samples'][0]['id']}", timeout=30).json()
    return server.home / "blobs" / str(sample["storage_path"])


def _job_that_never_starts(server: Server) -> str:
    """A waiting job for weights that no worker has, so that its polls really wait."""
    job_id = _finished_job(server)["id"]
    with closing(sqlite3.connect(server.home / "studio.db", timeout=30)) as connection, connection:
        connection.execute(
            "UPDATE generation_jobs SET status = 'queued', fingerprint = 'nobody has these' WHERE id = ?",
            (str(job_id).replace("-", ""),),
        )
    return str(job_id)


@contextmanager
def _bare(folder: Path, job: dict[str, Any], sound: Path) -> Iterator[int]:
    port = free_port()
    answer = folder / "answer.json"
    answer.write_text(json.dumps(job))
    command = [sys.executable, "-m", "benchmarks.bare_endpoint", str(port), str(answer), str(sound)]
    with running(command, port=port):
        yield port


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} cores of {names[0]}" if names else "unknown processor"


if __name__ == "__main__":
    main()
