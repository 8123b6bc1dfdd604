"""Real servers for tests: `text2song serve` in a process of its own, started, killed and started again."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest

from text2song.names import NOISE_MODEL

if TYPE_CHECKING:
    import httpx2

START_SECONDS = 90.0
"""Loading torch on a busy machine with two cores can take this long."""


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Server:
    """One studio on one home folder; may be killed and started again. Without other words, it plays noise."""

    home: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    python: Path = Path(sys.executable)
    """Whose installation is served."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """Of this server, and of other commands over its home."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("TEXT2SONG_")}
        given = {"TEXT2SONG_HOME": str(self.home), "TEXT2SONG_MODEL": NOISE_MODEL}
        return {**kept, **given, **self.settings}

    @property
    def log(self) -> str:
        return (self.home.parent / "serve.log").read_text()

    def start(self) -> None:
        """Start, and wait until it is ready to work."""
        self.launch()
        self.wait_until(self._is_ready, timeout_seconds=START_SECONDS)

    def launch(self) -> None:
        """Start, and wait for nothing."""
        with self._open_log() as log:
            self.process = subprocess.Popen(
                [self.python, "-m", "text2song.cli", "serve", "--port", str(self.port)],
                env=self.environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def kill(self) -> None:
        """`kill -9`: no warning, no clean-up."""
        self._signal(signal.SIGKILL)

    def stop(self) -> int:
        """`kill -TERM`, as a supervisor does; answers the exit status."""
        return self._signal(signal.SIGTERM)

    def client(self, *, timeout_seconds: float = 60.0) -> "httpx2.Client":
        import httpx2

        return httpx2.Client(base_url=self.url, timeout=timeout_seconds)

    def wait_until(self, is_true: Callable[[], bool], *, timeout_seconds: float) -> None:
        until = time.monotonic() + timeout_seconds
        while not is_true():
            assert time.monotonic() < until, f"waited {timeout_seconds} s in vain:\n{self.log[-4000:]}"
            assert self.process is None or self.process.poll() is None, f"it ended:\n{self.log[-4000:]}"
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        import httpx2

        try:
            return bool(httpx2.get(f"{self.url}/readyz", timeout=5).status_code == 200)
        except httpx2.TransportError:
            return False

    def _signal(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=60)

    def _open_log(self) -> IO[bytes]:
        return (self.home.parent / "serve.log").open("ab")


@contextmanager
def served(home: Path, **settings: str) -> Iterator[Server]:
    """A server with these settings (`LEASE_SECONDS="2"`), stopped at the end however it ends."""
    server = Server(home, {f"TEXT2SONG_{name}": value for name, value in settings.items()})
    try:
        server.start()
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the untrained model, for all tests of a module."""
    with served(tmp_path_factory.mktemp("served") / "home") as running:
        yield running


def finished(client: "httpx2.Client", job_ids: list[str], *, timeout_seconds: float) -> list[dict[str, Any]]:
    """These jobs, once all of them are final."""
    until = time.monotonic() + timeout_seconds
    while True:
        answer = client.get("/generate", params={"ids": ",".join(job_ids)})
        assert answer.status_code == 200, answer.text
        jobs: list[dict[str, Any]] = answer.json()["items"]
        waiting = [job for job in jobs if job["status"] in {"queued", "running"}]
        if not waiting:
            return jobs
        assert time.monotonic() < until, waiting
        time.sleep(0.2)
