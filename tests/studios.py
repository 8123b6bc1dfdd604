"""Studios for tests: real databases, real folders of bytes, the real untrained model.

Imports lazily, because the model layer's tests run where nothing of the server is installed.
"""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from tests.databases import Place
    from text2song.model.protocol import ModelInfo
    from text2song.settings import Settings
    from text2song.studio import Studio
    from text2song.worker.main import Worker

START = dt.datetime(2026, 1, 1, 12, 0, tzinfo=dt.UTC)


@dataclass
class Clock:
    """A clock that stands still until it is told to go on."""

    now: dt.datetime = START

    def __call__(self) -> dt.datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)


@dataclass
class ListeningQueue:
    """A doorbell that remembers who rang."""

    rung: list[str] = field(default_factory=list)

    def ring(self, kind: str) -> None:
        self.rung.append(kind)


@dataclass(frozen=True)
class Serving:
    """A whole studio in this process: API, worker thread, model."""

    studio: Studio
    app: FastAPI
    client: TestClient
    worker: Worker

    def finished(self, job: dict[str, Any], *, timeout_seconds: float = 60) -> dict[str, Any]:
        """The job once it is final."""
        until = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=timeout_seconds)
        while job["status"] in {"queued", "running"}:
            assert dt.datetime.now(dt.UTC) < until, job
            query = {"wait": 5, "since": job["sequence"]}
            job = self.client.get(f"/generate/{job['id']}", params=query).json()
        return job

    def make(self, **body: object) -> dict[str, Any]:
        """Submit and wait; short by default."""
        asked = {"prompt": {"text": "a slow walk home"}, "generation_params": {"duration": 1}} | body
        answer = self.client.post("/generate", json=asked)
        assert answer.status_code == 202, answer.text
        return self.finished(answer.json())


@pytest.fixture(scope="session")
def _migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from text2song.db import schema
    from text2song.db.engine import open_engine

    path = tmp_path_factory.mktemp("schema") / "studio.db"
    engine = open_engine(f"sqlite:///{path}")
    schema.upgrade(engine, backups=path.parent, now=START)
    engine.dispose()
    return path


@pytest.fixture(scope="session")
def _models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from text2song.model.noise import build_noise_model

    folder = tmp_path_factory.mktemp("models")
    build_noise_model(folder / "untrained-noise")
    return folder


@pytest.fixture
def settings(tmp_path: Path, database: Place) -> Settings:
    """A home of its own, migrated."""
    return furnish(tmp_path / "home", database=database)


def furnish(home: Path, *, database: Place, models: Path | None = None) -> Settings:
    """The settings of a studio that lives in `home`, which is made."""
    from text2song.names import NOISE_MODEL
    from text2song.settings import load_settings

    home.mkdir()
    given = {
        "TEXT2SONG_HOME": str(home),
        "TEXT2SONG_BEAT_SECONDS": "0.1",
        "TEXT2SONG_MODEL": NOISE_MODEL,  # small, quick, and of the same bytes for as long as its recipe
    }
    if isinstance(database, Path):
        shutil.copy(database, home / "studio.db")
    else:
        given["TEXT2SONG_DATABASE_URL"] = database
    if models is not None:
        shutil.copytree(models, home / "models")
    return load_settings(given)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bells() -> ListeningQueue:
    return ListeningQueue()


@pytest.fixture
def studio(settings: Settings, clock: Clock, bells: ListeningQueue) -> Iterator[Studio]:
    """A studio without a worker, whose clock stands still and whose bells are only heard."""
    from dataclasses import replace

    from text2song.studio import open_studio

    opened = replace(open_studio(settings, queue=bells), clock=clock)
    yield opened
    opened.engine.dispose()


@dataclass(frozen=True)
class Desk:
    """The API over a studio whose worker has announced its model and then does nothing."""

    studio: Studio
    clock: Clock
    bells: ListeningQueue
    client: TestClient

    def submit(self, **body: object) -> dict[str, Any]:
        """A job that waits."""
        asked = {"prompt": {"text": "a slow walk home"}, "generation_params": {"duration": 1}} | body
        answer = self.client.post("/generate", json=asked)
        assert answer.status_code == 202, answer.text
        job: dict[str, Any] = answer.json()
        return job


@pytest.fixture
def desk(studio: Studio, clock: Clock, bells: ListeningQueue) -> Iterator[Desk]:
    """Everything that happens before a worker comes; the clock stands still."""
    with open_desk(studio, clock=clock, bells=bells) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared_desk(tmp_path_factory: pytest.TempPathFactory, shared_database: Place) -> Iterator[Desk]:
    """One for all tests of a module that leave nothing behind."""
    from dataclasses import replace

    from text2song.studio import open_studio

    home = tmp_path_factory.mktemp("desk") / "home"
    clock, bells = Clock(), ListeningQueue()
    settings = furnish(home, database=shared_database)
    studio = replace(open_studio(settings, queue=bells), clock=clock)
    with open_desk(studio, clock=clock, bells=bells) as opened:
        yield opened
    studio.engine.dispose()


@contextmanager
def open_desk(studio: Studio, *, clock: Clock, bells: ListeningQueue) -> Iterator[Desk]:
    """The API over this studio, in which a model is announced."""
    from fastapi.testclient import TestClient

    from text2song.api.main import build_api
    from text2song.models import service as models

    with studio.work() as work:
        models.announce(work, noise_info(), worker="idle", capacity=8)
    with TestClient(build_api(studio), base_url="http://127.0.0.1:8000") as client:
        yield Desk(studio, clock, bells, client)


def noise_info() -> ModelInfo:
    """What the untrained model says of itself, in short."""
    from text2song.model.protocol import ModelInfo
    from text2song.names import NOISE_MODEL

    return ModelInfo(
        id=NOISE_MODEL,
        revision="test",
        fingerprint="f" * 64,
        license="Apache-2.0",
        is_trained=False,
        sample_rate=32_000,
        frame_rate=50.0,
        channels=1,
        codebooks=4,
        codebook_size=2048,
        max_duration_seconds=30.0,
        dtype="float32",
        device="cpu",
        module_shapes={"decoder.layers.0.fc1": (128, 64)},
    )


@pytest.fixture
def serving(settings: Settings, _models_folder: Path) -> Iterator[Serving]:
    """API and worker over one studio, with the wall clock."""
    shutil.copytree(_models_folder, settings.models_folder)
    with open_serving(settings) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared_serving(
    tmp_path_factory: pytest.TempPathFactory, shared_database: Place, _models_folder: Path
) -> Iterator[Serving]:
    """One for all tests of a module, which must not mind each other's jobs."""
    home = tmp_path_factory.mktemp("shared") / "home"
    with open_serving(furnish(home, database=shared_database, models=_models_folder)) as opened:
        yield opened


@contextmanager
def open_serving(settings: Settings) -> Iterator[Serving]:
    """API and worker, until the `with` block ends."""
    from fastapi.testclient import TestClient

    from text2song.api.main import build_api
    from text2song.jobs.threads import ThreadQueue
    from text2song.studio import open_studio
    from text2song.worker.main import Worker

    queue = ThreadQueue()
    opened = open_studio(settings, queue=queue)
    worker = Worker(opened, queue)
    worker.start()
    app = build_api(opened)
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        yield Serving(opened, app, client, worker)
    worker.stop()
    opened.engine.dispose()
