"""nginx with our configuration, run for real before an API that says what reached it."""

import json
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest

from tests.deploy.papers import DEPLOY
from tests.servers import free_port
from text2song.generation.endpoints import WAIT_LIMIT_SECONDS

pytestmark = [
    pytest.mark.skipif(shutil.which("nginx") is None, reason="needs `apt-get install nginx-light`"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="needs `apt-get install openssl`"),
]


class Telling(BaseHTTPRequestHandler):
    """Answers with what it was asked; `/slowly` says its second half only later."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/slowly":
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"a")
            self.wfile.flush()
            time.sleep(1.0)
            self.wfile.write(b"b")
            return
        told = json.dumps(
            {"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}}
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *_: object) -> None:
        """Silence."""


@dataclass(frozen=True)
class Front:
    http_port: int
    https_port: int
    client: httpx2.Client


def certificate(folder: Path) -> None:
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(folder / "tls.key"), "-out", str(folder / "tls.crt")]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files]
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def running(configuration: Path, *, port: int) -> Iterator[None]:
    process = subprocess.Popen(
        ["nginx", "-c", str(configuration), "-p", str(configuration.parent), "-g", "daemon off;"],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for _ in range(200):
            assert process.poll() is None, process.communicate()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.communicate(timeout=20)


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("nginx")
    folder.chmod(0o755)
    certificate(folder)
    http_port, https_port = free_port(), free_port()
    with ThreadingHTTPServer(("127.0.0.1", 0), Telling) as behind:
        threading.Thread(target=behind.serve_forever, daemon=True).start()
        text = (DEPLOY / "nginx.conf").read_text()
        for written, here in (
            ("/etc/nginx/tls", str(folder)),
            ("server api:8000", f"server 127.0.0.1:{behind.server_address[1]}"),
            ("listen 8080", f"listen 127.0.0.1:{http_port}"),
            ("listen 8443", f"listen 127.0.0.1:{https_port}"),
            ("pid /tmp/nginx.pid", f"pid {folder}/nginx.pid"),
        ):
            assert written in text
            text = text.replace(written, here)
        (folder / "nginx.conf").write_text(text)
        trust = ssl.create_default_context(cafile=str(folder / "tls.crt"))
        base = f"https://localhost:{https_port}"
        with (
            running(folder / "nginx.conf", port=https_port),
            httpx2.Client(base_url=base, verify=trust, timeout=10) as client,
        ):
            yield Front(http_port, https_port, client)
        behind.shutdown()


def test_the_host_that_was_asked_for_reaches_the_api(front: Front) -> None:
    told = front.client.get("/prompts?q=x", headers={"Host": "studio.example"}).json()
    assert told["path"] == "/prompts?q=x"
    assert told["headers"]["host"] == "studio.example"
    assert told["headers"]["x-forwarded-proto"] == "https"


def test_what_a_client_claims_of_itself_is_overwritten(front: Front) -> None:
    claimed = {"X-Forwarded-For": "10.0.0.1", "X-Forwarded-Proto": "http", "traceparent": "00-aa-bb-01"}
    told = front.client.get("/", headers=claimed).json()["headers"]
    assert told["x-forwarded-for"] == "127.0.0.1"
    assert told["x-forwarded-proto"] == "https"
    assert told["traceparent"] == "00-aa-bb-01"


def test_keys_and_ranges_pass_through(front: Front) -> None:
    told = front.client.get("/audio/1/stream", headers={"Range": "bytes=0-9", "Authorization": "Bearer x"})
    assert told.json()["headers"]["range"] == "bytes=0-9"
    assert told.json()["headers"]["authorization"] == "Bearer x"
    assert told.headers["strict-transport-security"]


def test_bytes_come_as_they_are_made(front: Front) -> None:
    began = time.monotonic()
    with front.client.stream("GET", "/slowly") as answer:
        chunks = answer.iter_raw()
        assert next(chunks) == b"a"
        assert time.monotonic() - began < 0.9
        assert next(chunks) == b"b"


def test_the_longest_poll_has_its_answer_before_the_proxy_gives_up() -> None:
    [seconds] = re.findall(r"proxy_read_timeout (\d+)s;", (DEPLOY / "nginx.conf").read_text())
    assert int(seconds) > WAIT_LIMIT_SECONDS


def test_numbers_are_for_the_inside(front: Front) -> None:
    assert front.client.get("/metrics").status_code == 404


def test_large_bodies_are_refused_at_the_door(front: Front) -> None:
    assert front.client.get("/", params={}).status_code == 200
    assert front.client.post("/prompts", content=b"x" * 1_100_000).status_code == 413


def test_plain_http_leads_to_https(front: Front) -> None:
    answer = httpx2.get(
        f"http://127.0.0.1:{front.http_port}/audio?limit=1", headers={"Host": "studio.example"}
    )
    assert (answer.status_code, answer.headers["location"]) == (308, "https://studio.example/audio?limit=1")
