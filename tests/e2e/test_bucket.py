"""A studio whose bytes are in a bucket: the same code path, and a storage that can die by itself."""

from pathlib import Path

import httpx2
import pytest

from tests.object_store import ObjectStore
from tests.servers import Server, finished, served


def submit(server: Server, *, seed: int = 7) -> str:
    body = {
        "prompt": {"text": "a slow walk home"},
        "num_samples": 2,
        "generation_params": {"seed": seed, "duration": 2},
    }
    answer = httpx2.post(f"{server.url}/generate", json=body, timeout=60)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


@pytest.mark.slow
def test_takes_go_to_a_bucket_and_outlive_its_death(
    mortal_object_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = mortal_object_store.settings()
    for name, value in mortal_object_store.environment.items():
        monkeypatch.setenv(name, value)
    url = settings["TEXT2SONG_BLOBS_URL"]
    with served(tmp_path / "home", BLOBS_URL=url, SWEEP_SECONDS="0.5") as server, server.client() as client:
        [first] = finished(client, [submit(server)], timeout_seconds=60)
        assert first["status"] == "succeeded", first
        assert heard(client, first) == 2

        mortal_object_store.kill()
        hurt = submit(server, seed=8)
        server.wait_until(lambda: error_of(client, hurt) == "storage_failed", timeout_seconds=60)
        told = client.get(f"/generate/{hurt}").json()["error"]["message"]
        assert "see that its server runs" in told
        assert client.get("/readyz").status_code == 503
        sample = client.get(f"/audio/{first['samples'][0]['id']}").json()
        assert client.get(sample["stream_url"]).json()["code"] == "storage_failed"

        mortal_object_store.start()
        server.wait_until(lambda: client.get("/readyz").status_code == 200, timeout_seconds=30)
        [job] = finished(client, [hurt], timeout_seconds=60)
        if job["status"] == "failed":  # the three attempts were over before the bucket was back
            retried = client.post(f"/generate/{hurt}/retry").json()
            [job] = finished(client, [retried["id"]], timeout_seconds=60)
        assert job["status"] == "succeeded", job
        assert heard(client, job) + heard(client, first) == 4
    assert not (tmp_path / "home" / "blobs").exists()
    assert mortal_object_store.environment["AWS_SECRET_ACCESS_KEY"] not in server.log


def heard(client: httpx2.Client, job: dict[str, list[dict[str, str]]]) -> int:
    """How many samples of the job a player hears whole, by way of the bucket's own links."""
    whole = 0
    for each in job["samples"]:
        sample = client.get(f"/audio/{each['id']}").json()
        sent = client.get(sample["stream_url"])
        assert sent.status_code == 307
        whole += len(httpx2.get(sent.headers["location"], trust_env=False).content) == sample["size_bytes"]
    return whole


def error_of(client: httpx2.Client, job_id: str) -> str | None:
    error = client.get(f"/generate/{job_id}").json()["error"]
    return str(error["code"]) if error else None
