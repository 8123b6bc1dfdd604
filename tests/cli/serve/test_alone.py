"""`text2song serve` where a Redis wakes workers elsewhere: the API alone, on a machine without torch."""

import json
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator

import httpx2
import pytest

from tests.cli.console import Console, ended
from tests.doorbells import Broker
from tests.jobs.workshop import wait_until
from tests.studios import noise_info
from text2song.generation.tables import KIND
from text2song.jobs.queue import SilentQueue
from text2song.models import service as models
from text2song.settings import load_settings
from text2song.studio import open_studio

WITHOUT_TORCH = """
import sys
for name in ("torch", "tokenizers", "transformers"):
    sys.modules[name] = None
from text2song.cli.__main__ import main
main()
"""
JOB = {"prompt": {"text": "a slow walk home"}, "generation_params": {"duration": 1}}


@pytest.fixture
def alone(furnished: Console, broker: Broker) -> "Iterator[subprocess.Popen[str]]":
    process = subprocess.Popen(
        [sys.executable, "-c", WITHOUT_TORCH, "serve", "--port", "0", "--json"],
        env=furnished.environment | {"TEXT2SONG_QUEUE_URL": broker.url},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()


def test_it_takes_jobs_for_workers_elsewhere_and_rings_for_them(
    alone: "subprocess.Popen[str]", furnished: Console, broker: Broker
) -> None:
    assert alone.stdout is not None
    lines = [alone.stdout.readline() for _ in range(5)]
    document = json.loads("".join(lines))
    assert document["model"] is None
    assert "`text2song worker`" in document["notice"]
    url = document["url"]
    assert httpx2.get(f"{url}readyz").json()["checks"] == ["database", "blobs", "queue"]
    assert httpx2.post(f"{url}generate", json=JOB).json()["code"] == "no_model_served"
    announce(furnished)
    answer = httpx2.post(f"{url}generate", json=JOB)
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    wait_until(lambda: broker.bells(KIND) == 1)
    alone.send_signal(signal.SIGTERM)
    said = ended(alone)
    assert said.code == 0, said.err
    assert "Stopping. The workers go on" in said.err
    assert "Traceback" not in said.err


def announce(console: Console) -> uuid.UUID:
    """As a worker does that serves the untrained model."""
    studio = open_studio(load_settings({"TEXT2SONG_HOME": str(console.home)}), queue=SilentQueue())
    with studio.work() as work:
        worker_id = models.announce(work, noise_info(), worker="elsewhere", capacity=8)
    studio.engine.dispose()
    return worker_id
