"""Bodies of 50 MB against a real server in a process of its own, over a raw socket."""

import http.client
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from starlette.testclient import TestClient

from tests.api.edge import LOOPBACK, make_app, make_client
from tests.figures import RecordFigure

HUGE_BYTES = 50_000_000
BLOCK = b"x" * 65536
ROOT = Path(__file__).parent.parent.parent
SERVER = """
import socket, sys, uvicorn
from tests.api.edge import make_app
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
server = uvicorn.Server(uvicorn.Config(make_app(), log_config=None, access_log=False))
server.run(sockets=[listening])
"""


class Running(NamedTuple):
    port: int
    pid: int

    def peak_bytes(self) -> int:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        assert found is not None
        return int(found[1]) * 1024


@pytest.fixture(name="server", scope="module")
def start_server() -> Iterator[Running]:
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of another process's memory is read from /proc, which only Linux has")
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        running = Running(port=int(process.stdout.readline()), pid=process.pid)
        ask(running, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        yield running
        process.kill()


class Answer(NamedTuple):
    status: int
    media_type: str | None
    body: bytes


def ask(server: Running, head: bytes, *, body_bytes: int = 0, is_chunked: bool = False) -> Answer:
    """Send head and body to the end, as a client does that does not listen; only then read the answer."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        send(connection, head, body_bytes=body_bytes, is_chunked=is_chunked)
        return read_answer(connection)


def send(connection: socket.socket, head: bytes, *, body_bytes: int, is_chunked: bool = False) -> None:
    block = b"%x\r\n%s\r\n" % (len(BLOCK), BLOCK) if is_chunked else BLOCK
    connection.sendall(head)
    for _ in range(0, body_bytes, len(BLOCK)):
        connection.sendall(block)


def read_answer(connection: socket.socket) -> Answer:
    response = http.client.HTTPResponse(connection)
    response.begin()
    return Answer(response.status, response.headers["content-type"], response.read())


def post(*headers: bytes) -> bytes:
    lines = (b"POST /prompts HTTP/1.1", b"Host: localhost", b"Content-Type: application/json", *headers)
    return b"\r\n".join(lines) + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("header", "is_chunked"),
    [(b"Content-Length: %d" % HUGE_BYTES, False), (b"Transfer-Encoding: chunked", True)],
    ids=["declared", "chunked"],
)
def test_fifty_megabytes_are_refused_and_never_held(
    server: Running, record_figure: RecordFigure, header: bytes, *, is_chunked: bool
) -> None:
    before_bytes = server.peak_bytes()
    answer = ask(server, post(header), body_bytes=HUGE_BYTES, is_chunked=is_chunked)
    grown_bytes = server.peak_bytes() - before_bytes
    assert (answer.status, answer.media_type) == (413, "application/problem+json")
    assert b'"code":"too_large"' in answer.body
    assert b"the limit of 1048576 bytes" in answer.body
    record_figure("memory_grown_by_50_MB_body", grown_bytes / 1e6, "MB")
    assert grown_bytes < 10_000_000


def test_a_body_longer_than_it_says_is_not_read(server: Running) -> None:
    before_bytes = server.peak_bytes()
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:

        def lie() -> None:
            with suppress(OSError):  # the server hangs up: what follows the ten bytes is no request
                send(connection, post(b"Content-Length: 10"), body_bytes=HUGE_BYTES)

        liar = threading.Thread(target=lie)
        liar.start()
        answer = read_answer(connection)
        liar.join()
    assert (answer.status, answer.media_type) == (400, "application/problem+json")
    assert server.peak_bytes() - before_bytes < 10_000_000


def test_a_body_that_nobody_reads_is_not_held_either(server: Running) -> None:
    before_bytes = server.peak_bytes()
    head = b"GET /prompts HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert ask(server, head, body_bytes=HUGE_BYTES, is_chunked=True).status == 200
    assert server.peak_bytes() - before_bytes < 10_000_000


@pytest.mark.parametrize("length", [b"-1", b"1e9", b"99999999999999999999999999"])
def test_a_length_that_is_none_is_refused(server: Running, length: bytes) -> None:
    assert ask(server, post(b"Content-Length: " + length)).status in {400, 413}


@pytest.fixture(name="client")
def make_limited_client() -> TestClient:
    return make_client(make_app())


def test_the_limit_itself_is_allowed(client: TestClient) -> None:
    spaces = LOOPBACK.max_body_bytes - len('{"text": "a"}')
    headers = {"Content-Type": "application/json"}
    body = b'{"text": "a"}' + b" " * spaces
    assert client.post("/prompts", content=body, headers=headers).status_code == 201
    response = client.post("/prompts", content=body + b" ", headers=headers)
    assert (response.status_code, response.json()["code"]) == (413, "too_large")


def test_pieces_are_counted_together(client: TestClient) -> None:
    pieces = (b" " * 1000 for _ in range(2000))
    response = client.post("/prompts", content=pieces, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (413, "too_large")
