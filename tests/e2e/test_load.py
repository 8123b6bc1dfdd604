"""Many clients at once against one real server: no error of the server's, no lock error, nothing lost."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from tests.figures import RecordFigure
from tests.servers import Server, finished

CLIENTS = 16
STREAMS = 4


@pytest.mark.slow
@pytest.mark.parametrize("jobs_of_each", [1, pytest.param(5, marks=pytest.mark.proof)])
def test_sixteen_clients_submit_and_poll_while_four_stream(
    server: Server, jobs_of_each: int, record_figure: RecordFigure
) -> None:
    sample_id = _sample(server)
    is_over = threading.Event()
    with ThreadPoolExecutor(CLIENTS + STREAMS) as pool:
        streams = [pool.submit(_stream_until, server, sample_id, is_over) for _ in range(STREAMS)]
        polls = [
            pool.submit(_submit_and_poll, server, client=number, jobs=jobs_of_each)
            for number in range(CLIENTS)
        ]
        statuses = [status for poll in polls for status in poll.result()]
        is_over.set()
        streamed = [status for stream in streams for status in stream.result()]
    assert set(statuses) <= {200, 202}
    assert set(streamed) == {200}
    assert "locked" not in server.log
    record_figure("requests without an error", len(statuses) + len(streamed), "requests")


@pytest.mark.slow
def test_five_hundred_waiting_polls_hold_no_thread_and_all_hear_the_news(server: Server) -> None:
    job = _submit(server, number=0, duration=20, takes=8)
    with ThreadPoolExecutor(50) as pool:  # ten polls in each thread
        waits = [pool.submit(_wait_ten_times_over, server, job) for _ in range(50)]
        time.sleep(1)
        during = _threads(server)
        answers = [status for wait in waits for status in wait.result()]
    assert answers == [200] * 500
    assert during < 100  # AnyIO's pool of 40 and our own, not one for each who waits


def _submit_and_poll(server: Server, *, client: int, jobs: int) -> list[int]:
    statuses = []
    with server.client() as connection:
        for n in range(jobs):
            answer = connection.post("/generate", json=_body(client * 100 + n, duration=1, takes=1))
            statuses.append(answer.status_code)
            job_id = answer.json()["id"]
            [job] = finished(connection, [job_id], timeout_seconds=200)
            assert job["status"] == "succeeded", job
            statuses.append(connection.get("/generate", params={"limit": 20}).status_code)
            statuses.append(connection.get("/prompts", params={"q": "take"}).status_code)
    return statuses


def _stream_until(server: Server, sample_id: str, is_over: threading.Event) -> list[int]:
    statuses = []
    with server.client() as client:
        while not is_over.is_set():
            statuses.append(client.get(f"/audio/{sample_id}/stream").status_code)
            time.sleep(0.05)
    return statuses


def _wait_ten_times_over(server: Server, job: dict[str, object]) -> list[int]:
    """Ten connections of one thread, all waiting at the same time."""
    path = f"/generate/{job['id']}?wait=60&since={job['sequence']}"
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nConnection: close\r\n\r\n".encode()
    import socket

    sockets = [socket.create_connection(("127.0.0.1", server.port), timeout=90) for _ in range(10)]
    for waiting in sockets:
        waiting.sendall(request)
    statuses = []
    for waiting in sockets:
        answer = b""
        while part := waiting.recv(65536):
            answer += part
        waiting.close()
        statuses.append(int(answer.split(b" ", 2)[1]))
    return statuses


def _sample(server: Server) -> str:
    submitted = _submit(server, number=1, duration=10, takes=1)
    with server.client() as client:
        [job] = finished(client, [str(submitted["id"])], timeout_seconds=60)
    return str(job["samples"][0]["id"])


def _submit(server: Server, *, number: int, duration: float, takes: int) -> dict[str, object]:
    answer = httpx2.post(
        f"{server.url}/generate", json=_body(number, duration=duration, takes=takes), timeout=30
    )
    assert answer.status_code == 202, answer.text
    job: dict[str, object] = answer.json()
    return job


def _body(number: int, *, duration: float, takes: int) -> dict[str, object]:
    return {
        "prompt": {"text": f"take number {number}"},
        "num_samples": takes,
        "generation_params": {"seed": number, "duration": duration},
    }


def _threads(server: Server) -> int:
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("Threads:")[1].split()[0])
