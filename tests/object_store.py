"""A real S3 server for tests, started when the first of them asks for it; may be killed and started again.

It is OpenStack Swift, from PyPI, in an environment of its own that `make installed-s3` makes. Where that
cannot be, the tests that need it say so and are skipped. Imports nothing of the server, which the model
layer's tests run without.
"""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from tests.servers import free_port

if TYPE_CHECKING:
    from text2song.blobs.s3 import S3Blobs, S3Options

ROOT = Path(__file__).parents[1]
PYTHON = ROOT / ".venv-s3" / "bin" / "python"
INSTALLED = ROOT / ".venv-s3" / "set-up.json"
"""Written last: without it, something is missing there."""
COMMAND = "make installed-s3"
START_SECONDS = 60.0
REGION = "us-east-1"
KEY_ID = "studio:tester"
SECRET = "a+secret/of=the-tests"
BUCKET = "studio"
LIST_PAGE = 50
"""Keys in one page of a list; AWS has 1000."""


@dataclass
class ObjectStore:
    """One S3 server on one folder, with one bucket."""

    folder: Path
    port: int = field(default_factory=free_port)
    list_page: int = LIST_PAGE
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What the studio is told, beside the URL."""
        return {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET}

    def url(self, prefix: str | None = None, *, bucket: str = BUCKET, region: str = REGION) -> str:
        """`TEXT2SONG_BLOBS_URL` of a place that nobody else uses."""
        query = urlencode({"endpoint": self.endpoint, "region": region})
        return f"s3://{bucket}/{prefix or uuid.uuid4().hex}?{query}"

    def settings(self) -> dict[str, str]:
        """The environment of a studio that keeps its bytes here, at a place of its own."""
        return {"TEXT2SONG_BLOBS_URL": self.url(), **self.environment}

    def open(self, options: S3Options | None = None, *, prefix: str | None = None) -> S3Blobs:
        """A store that nobody else uses."""
        from text2song.blobs.address import address_of
        from text2song.blobs.s3 import S3Blobs, S3Options

        return S3Blobs(address_of(self.url(prefix), self.environment), options or S3Options())

    def start(self) -> None:
        """Start, and wait until it answers; make the bucket where it is missing."""
        given = {
            "S3_KEY_ID": KEY_ID,
            "S3_SECRET": SECRET,
            "S3_REGION": REGION,
            "S3_PAGE": str(self.list_page),
        }
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [PYTHON, ROOT / "tests" / "swift_server.py", self.folder, str(self.port)],
                env=kept | given,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + START_SECONDS
        while not self._has_bucket():
            log_text = (self.folder / "server.log").read_text()[-4000:]
            assert time.monotonic() < until, f"no S3 server within {START_SECONDS} s:\n{log_text}"
            assert self.process.poll() is None, f"the S3 server ended:\n{log_text}"
            time.sleep(0.05)

    def kill(self) -> None:
        """`kill -9`: no warning, no clean-up."""
        self._signal(signal.SIGKILL)

    def freeze(self) -> None:
        """It holds its connections and says nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self._signal(signal.SIGKILL)  # it keeps nothing that a test would miss

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.communicate(timeout=30)

    def _has_bucket(self) -> bool:
        """Makes it, which changes nothing where it is there."""
        import httpx2
        from obstore import sign
        from obstore.store import S3Store

        whole = S3Store(
            BUCKET,
            endpoint=self.endpoint,
            region=REGION,
            access_key_id=KEY_ID,
            secret_access_key=SECRET,
            client_options={"allow_http": True},
        )
        try:
            answer = httpx2.put(sign(whole, "PUT", "", dt.timedelta(minutes=1)), timeout=10, trust_env=False)
        except httpx2.TransportError:
            return False
        assert answer.status_code in {200, 409} or answer.status_code >= 500, answer.text
        return answer.status_code in {200, 409}


def keeps_attributes(folder: Path) -> bool:
    """Whether files there can carry extended attributes, in which Swift keeps what it knows of them."""
    try:
        os.setxattr(folder, "user.text2song", b"1")
    except OSError:
        return False
    return True


def new_object_store(folder: Path, *, list_page: int = LIST_PAGE) -> ObjectStore:
    """A server that is not started yet; skips the test where there can be none."""
    if not INSTALLED.exists():
        pytest.skip(f"no S3 server to test against: `{COMMAND}` installs one")
    if not keeps_attributes(folder):
        pytest.skip(f"{folder} keeps no extended attributes: give pytest another --basetemp")
    return ObjectStore(folder, list_page=list_page)


@pytest.fixture(scope="session")
def _no_key_of_ones_own() -> Iterator[None]:
    """obstore reads the environment too, and a developer's own key must not mix in."""
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            environment.delenv(name)
        yield


@pytest.fixture(scope="session")
def object_store(
    tmp_path_factory: pytest.TempPathFactory, _no_key_of_ones_own: None
) -> Iterator[ObjectStore]:
    """A server for all tests of this process, each at a prefix of its own; nobody may kill it."""
    with started(new_object_store(tmp_path_factory.mktemp("object-store"))) as running:
        yield running


@pytest.fixture
def mortal_object_store(tmp_path: Path, _no_key_of_ones_own: None) -> Iterator[ObjectStore]:
    """A server that a test may kill, freeze and start again."""
    folder = tmp_path / "object-store"
    folder.mkdir()
    with started(new_object_store(folder)) as running:
        yield running


@contextmanager
def started(server: ObjectStore) -> Iterator[ObjectStore]:
    """Until the `with` block ends, however it ends."""
    try:
        server.start()
        yield server
    finally:
        server.stop()
