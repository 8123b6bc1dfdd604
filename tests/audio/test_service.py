from typing import Any

import pytest

from tests.benches import Bench
from text2song.audio import cleaning, service
from text2song.audio.recording import CODES_FOLDER
from text2song.blobs.store import StoredBlob

SHORT = {"seed": 7, "duration": 0.5}


def reap(bench: Bench) -> int:
    return cleaning.reap(bench.desk.studio)


def bytes_of(bench: Bench) -> set[str]:
    """The keys of everything that is stored."""
    blobs = bench.desk.studio.blobs
    return {stat.key for folder in ("audio", "peaks", "codes") for stat in blobs.list(folder)}


def delete(bench: Bench, sample: dict[str, Any]) -> None:
    assert bench.desk.client.delete(f"/audio/{sample['id']}").status_code == 204


def test_a_deleted_sample_is_gone_from_everywhere(bench: Bench) -> None:
    job = bench.make(num_samples=2, generation_params=SHORT)
    gone, stays = job["samples"]
    delete(bench, gone)
    client = bench.desk.client
    for path in ("", "/stream", "/peaks", "/download"):
        assert client.get(f"/audio/{gone['id']}{path}").status_code == 404
    assert client.get(f"/audio/compare?ids={gone['id']}").status_code == 404
    assert [sample["id"] for sample in client.get("/audio").json()["items"]] == [stays["id"]]
    told = bench.job(job)
    assert [sample["id"] for sample in told["samples"]] == [stays["id"]]
    assert (told["takes"][0]["status"], told["takes"][0]["audio_id"]) == ("succeeded", None)
    assert told["status"] == "succeeded"
    assert told["sequence"] == job["sequence"] + 1
    assert client.delete(f"/audio/{gone['id']}").status_code == 404


def test_a_take_whose_equal_is_reaped_meanwhile_is_stored_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete(bench, bench.make(generation_params=SHORT)["samples"][0])
    bench.desk.clock.advance(service.GRACE.total_seconds())
    put = bench.desk.studio.blobs.put

    reaped: list[int] = []

    def put_and_reap(data: bytes, *, folder: str, suffix: str) -> StoredBlob:
        blob = put(data, folder=folder, suffix=suffix)
        if folder == CODES_FOLDER and not reaped:  # the last of the three: the row comes next
            reaped.append(reap(bench))
        return blob

    monkeypatch.setattr(bench.desk.studio.blobs, "put", put_and_reap)
    job = bench.make(generation_params=SHORT)
    assert reaped == [3]
    assert (job["status"], job["attempts"]) == ("succeeded", 1)
    assert bench.desk.client.get(job["samples"][0]["stream_url"]).status_code == 200
    assert len(bytes_of(bench)) == 3
