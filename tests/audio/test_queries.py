import io
import uuid
from dataclasses import replace
from typing import Any

import numpy as np
import pyloudnorm
import pytest
import soundfile
from sqlalchemy import event

from tests.audio.samples import make_sample
from tests.benches import Bench
from tests.studios import Desk
from text2song.audio import queries
from text2song.audio.examples import SAMPLE_OUT
from text2song.audio.tables import AudioSample
from text2song.model.protocol import GeneratedTake, RowResult
from text2song.sound.waveform import Waveform
from text2song.studio import Studio

NOBODY_HAS_THIS_ID = "0198c0de-0000-7000-8000-000000000000"


def _some_quieter(_desk: Desk, result: RowResult) -> RowResult:
    """The untrained model's noise is always as loud: turn every other take down, each by more."""
    take = result.outcome
    assert isinstance(take, GeneratedTake)
    if result.row % 2 == 0:
        return result
    quiet = Waveform(take.waveform.pcm * np.float32(0.3 / result.row), take.waveform.sample_rate)
    return RowResult(result.row, replace(take, waveform=quiet))


@pytest.fixture(scope="module", name="samples")
def make_samples(shared_bench: Bench) -> list[dict[str, Any]]:
    """Four samples of two prompts, oldest first."""
    shared_bench.trouble = _some_quieter
    params = {"seed": 7, "duration": 1}
    jobs = [shared_bench.desk.submit(num_samples=number, generation_params=params) for number in (3, 1)]
    shared_bench.work()
    takes = [(job, take["take"]) for job in jobs for take in job["takes"]]
    return [shared_bench.sample(job, take=take) for job, take in takes]


def test_a_take_is_told_whose_worker_wrote_more_or_less_of_it_than_this_version(studio: Studio) -> None:
    made = make_sample(studio)
    with studio.work() as work:
        sample = work.session.get_one(AudioSample, made.id)
        early = {name: said for name, said in SAMPLE_OUT["provenance"].items() if name != "device"}
        sample.provenance = {**early, "weather": "fair"}
        sample.generation_params = SAMPLE_OUT["generation_params"]
        told = queries.describe(sample).provenance.model_dump()
    assert told == {**early, "device": None}


def compared(desk: Desk, ids: list[str]) -> list[dict[str, Any]]:
    answer = desk.client.get("/audio/compare", params={"ids": ",".join(ids)})
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def test_samples_are_listed_newest_first(shared_desk: Desk, samples: list[dict[str, Any]]) -> None:
    page = shared_desk.client.get("/audio").json()
    assert page == {"items": sorted(samples, key=lambda s: str(s["id"]), reverse=True), "next_cursor": None}


def test_samples_are_listed_by_prompt_and_by_adapter(
    shared_desk: Desk, samples: list[dict[str, Any]]
) -> None:
    def ids(**query: str) -> set[str]:
        return {sample["id"] for sample in shared_desk.client.get("/audio", params=query).json()["items"]}

    prompt_id = samples[0]["prompt_id"]
    assert ids(prompt_id=prompt_id) == {sample["id"] for sample in samples[:3]}
    assert ids(prompt_id=NOBODY_HAS_THIS_ID) == set()
    assert ids(adapter_id=NOBODY_HAS_THIS_ID) == set()


def test_pages_neither_skip_nor_repeat_while_samples_come_and_go(bench: Bench) -> None:
    job = bench.make(num_samples=7, generation_params={"seed": 1, "duration": 0.5})
    known = sorted((sample["id"] for sample in job["samples"]), reverse=True)
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 3}
    while True:
        page = bench.desk.client.get("/audio", params=query).json()
        seen += [sample["id"] for sample in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
        bench.make(generation_params={"duration": 0.5})
        bench.desk.client.delete(f"/audio/{seen[-1]}")  # also the very sample that the cursor names
    assert seen == known


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("cursor=0198c0de", 400, "cursor"),
        ("cursor=%00", 400, "cursor"),
        ("limit=0", 422, "limit"),
        ("limit=201", 422, "limit"),
        ("prompt_id=7", 422, "prompt_id"),
        ("adapter_id=warm", 422, "adapter_id"),
    ],
)
def test_bad_queries_are_named(shared_desk: Desk, query: str, status: int, field: str) -> None:
    answer = shared_desk.client.get(f"/audio?{query}")
    assert (answer.status_code, answer.json()["field"]) == (status, field)


def test_compared_samples_are_equally_loud(shared_desk: Desk, samples: list[dict[str, Any]]) -> None:
    ids = [sample["id"] for sample in reversed(samples)]
    items = compared(shared_desk, ids)
    assert [item["sample"]["id"] for item in items] == ids
    assert [item["sample"] for item in items] == samples[::-1]
    before, after, peaks = [], [], []
    for item in items:
        content = shared_desk.client.get(item["sample"]["stream_url"]).content
        pcm, rate = soundfile.read(io.BytesIO(content), always_2d=True)
        played = pcm * 10 ** (item["playback_gain_db"] / 20)
        before.append(pyloudnorm.Meter(rate).integrated_loudness(pcm))
        after.append(pyloudnorm.Meter(rate).integrated_loudness(played))
        peaks.append(np.abs(played).max())
    assert max(before) - min(before) > 1  # or nothing was proved
    assert max(after) - min(after) < 0.1
    assert max(item["playback_gain_db"] for item in items) <= 0.0
    assert max(peaks) <= 10 ** (-1 / 20) + 1e-4
    assert all(shared_desk.client.get(item["peaks_url"]).status_code == 200 for item in items)


def test_a_sample_alone_is_played_as_it_is(shared_desk: Desk, samples: list[dict[str, Any]]) -> None:
    (alone,) = compared(shared_desk, [samples[0]["id"]])
    headroom = -1 - samples[0]["true_peak_dbtp"]
    assert alone["playback_gain_db"] == pytest.approx(min(0.0, headroom))


def test_what_cannot_be_compared_is_named(shared_desk: Desk, samples: list[dict[str, Any]]) -> None:
    first = samples[0]["id"]
    for ids, status in (
        (f"{first},{first}", 422),
        (f"{first},", 422),
        ("", 422),
        ("seven", 422),
        (",".join(str(uuid.uuid4()) for _ in range(17)), 422),
        (f"{first},{NOBODY_HAS_THIS_ID}", 404),
    ):
        answer = shared_desk.client.get("/audio/compare", params={"ids": ids})
        assert answer.status_code == status, answer.text
        assert answer.json()["field"] == (None if status == 404 else "ids")
    assert shared_desk.client.get("/audio/compare").json()["detail"].startswith("ids is missing")


def test_comparing_is_told_apart_from_an_id(shared_desk: Desk) -> None:
    answer = shared_desk.client.put("/audio/compare")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    answer = shared_desk.client.put(f"/audio/{NOBODY_HAS_THIS_ID}")
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET, HEAD")


@pytest.mark.parametrize("path", ["", "/stream", "/peaks", "/download"])
def test_an_unknown_sample_is_not_found(shared_desk: Desk, path: str) -> None:
    answer = shared_desk.client.get(f"/audio/{NOBODY_HAS_THIS_ID}{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert NOBODY_HAS_THIS_ID in answer.json()["detail"]
    assert shared_desk.client.get(f"/audio/seven{path}").json()["field"] == "audio_id"


def test_the_number_of_queries_does_not_grow_with_the_number_of_samples(
    shared_desk: Desk, samples: list[dict[str, Any]]
) -> None:
    statements: list[str] = []

    def count(_c: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    def spent(path: str) -> int:
        statements.clear()
        assert shared_desk.client.get(path).status_code == 200
        return len(statements)

    event.listen(shared_desk.studio.engine, "before_cursor_execute", count)
    ids = [sample["id"] for sample in samples]
    assert spent("/audio?limit=1") == spent("/audio?limit=200") > 0
    assert spent(f"/audio/compare?ids={ids[0]}") == spent(f"/audio/compare?ids={','.join(ids)}") > 0
    event.remove(shared_desk.studio.engine, "before_cursor_execute", count)
