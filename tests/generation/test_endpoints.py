from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from tests.adapters.shelf import add_adapter
from tests.studios import Desk, noise_info
from text2song.db.base import Base
from text2song.generation.tables import GenerationJob
from text2song.models import service as models
from text2song.music.sampling import SEED_LIMIT
from text2song.names import NOISE_MODEL
from text2song.prompts.tables import Prompt
from text2song.studio import Studio

WALK = {"text": "a slow walk home"}


def count(studio: Studio, table: type[Base]) -> int:
    with studio.read() as reader:
        return reader.session.scalar(select(func.count()).select_from(table)) or 0


def seeds(job: dict[str, Any], *, side: int = 0) -> list[int]:
    return [take["seed"] for take in job["takes"] if take["side"] == side]


def problem(client: TestClient, body: object, **headers: str) -> dict[str, Any]:
    answer = client.post("/generate", json=body, headers=headers)
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    told: dict[str, Any] = answer.json()
    return told


def test_a_job_is_accepted_and_says_where_to_follow_it(desk: Desk) -> None:
    answer = desk.client.post("/generate", json={"prompt": WALK})
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == f"/generate/{job['id']}"
    assert desk.client.get(answer.headers["location"]).json() == job
    assert desk.bells.rung == ["generation"]


def test_the_body_of_a_job_is_complete(desk: Desk) -> None:
    job = desk.submit(
        prompt={"text": "a slow  walk\nhome", "attributes": {"tempo": 84, "mood": "mellow", "duration": 2}},
        num_samples=2,
        generation_params={"seed": 7, "top_k": 50},
        priority=3,
    )
    prompt = desk.client.get(f"/prompts/{job['prompt_id']}").json()
    assert prompt["text"] == "a slow walk home"
    take = {"status": "queued", "side": 0, "adapter_id": None, "audio_id": None, "error": None}
    noise_notice = job.pop("notice")
    assert "noise" in noise_notice
    assert "text2song model add" in noise_notice
    assert job == {
        "id": job["id"],
        "status": "queued",
        "progress": 0.0,
        "stage": "waiting",
        "frames_done": 0,
        "frames_total": 200,
        "position": 1,
        "eta_seconds": None,
        "sequence": 1,
        "attempts": 0,
        "error": None,
        "prompt_id": prompt["id"],
        "sentence": "a slow walk home, mellow, 84 bpm",
        "model": NOISE_MODEL,
        "priority": 3,
        "num_samples": 2,
        "sides": [[]],
        "generation_params": {
            "seed": 7,
            "temperature": 1.0,
            "top_k": 50,
            "top_p": 1.0,
            "guidance_scale": 3.0,
            "duration": 2.0,
        },
        "from_sample": None,
        "takes": [{"take": 0, "seed": 7, **take}, {"take": 1, "seed": 8, **take}],
        "samples": [],
        "retry_of": None,
        "user_id": None,
        "created_at": "2026-01-01T12:00:00Z",
        "started_at": None,
        "finished_at": None,
    }


def test_a_stored_prompt_is_asked_for_by_its_id(desk: Desk) -> None:
    prompt = desk.client.post("/prompts", json={**WALK, "attributes": {"style": "lo-fi"}}).json()
    answer = desk.client.post("/generate", json={"prompt_id": prompt["id"]})
    assert answer.json()["prompt_id"] == prompt["id"]
    assert answer.json()["sentence"] == prompt["sentence"] == "a slow walk home, lo-fi"
    assert count(desk.studio, Prompt) == 1


def test_the_parameters_win_over_the_attributes_and_the_attributes_over_the_default(desk: Desk) -> None:
    prompt = {**WALK, "attributes": {"duration": 3}}
    assert desk.submit(prompt=prompt)["generation_params"]["duration"] == 1.0
    assert desk.submit(prompt=prompt, generation_params={})["generation_params"]["duration"] == 3.0
    assert desk.submit(generation_params={})["generation_params"]["duration"] == 10.0


def test_the_default_duration_is_within_what_the_model_can_do(desk: Desk) -> None:
    short = replace(noise_info(), id="short", max_duration_seconds=4.0)
    with desk.studio.work() as work:
        models.announce(work, short, worker="other", capacity=8)
    assert desk.submit(model="short", generation_params={})["generation_params"]["duration"] == 4.0


@pytest.mark.parametrize("number", [1, 16])
def test_seeds_count_on_from_the_first(desk: Desk, number: int) -> None:
    job = desk.submit(num_samples=number, generation_params={"seed": 100, "duration": 1})
    assert seeds(job) == list(range(100, 100 + number))


def test_seeds_stay_exact_in_every_json_reader(desk: Desk) -> None:
    job = desk.submit(num_samples=3, generation_params={"seed": SEED_LIMIT})
    assert seeds(job) == [SEED_LIMIT, 0, 1]


def test_seeds_that_nobody_chose_are_drawn_and_said(desk: Desk) -> None:
    jobs = [desk.submit(num_samples=2) for _ in range(8)]
    firsts = [job["generation_params"]["seed"] for job in jobs]
    assert len(set(firsts)) == len(firsts)
    assert all(seeds(job) == [first, first + 1] for job, first in zip(jobs, firsts, strict=True))
    assert max(firsts) < 2**32


def test_sides_are_compared_with_the_same_seeds(desk: Desk) -> None:
    warm, dark = add_adapter(desk.studio), add_adapter(desk.studio, name="dark")
    job = desk.submit(
        num_samples=3,
        generation_params={"seed": 5, "duration": 1},
        sides=[
            [],
            [{"adapter": "warm@1.2.0"}],
            [{"adapter": str(warm.id), "weight": 0.5}, {"adapter": "dark@1.2.0", "weight": -1}],
        ],
    )
    assert [seeds(job, side=side) for side in range(3)] == [[5, 6, 7]] * 3
    assert [take["take"] for take in job["takes"]] == list(range(9))
    assert {take["adapter_id"] for take in job["takes"] if take["side"] == 1} == {str(warm.id)}
    assert {take["adapter_id"] for take in job["takes"] if take["side"] != 1} == {None}
    assert job["sides"] == [
        [],
        [{"adapter": str(warm.id), "weight": 1.0}],
        [{"adapter": str(warm.id), "weight": 0.5}, {"adapter": str(dark.id), "weight": -1.0}],
    ]


def test_adapter_id_is_short_for_one_side_with_one_adapter(desk: Desk) -> None:
    warm = add_adapter(desk.studio)
    job = desk.submit(adapter_id=str(warm.id), num_samples=2)
    assert job["sides"] == [[{"adapter": str(warm.id), "weight": 1.0}]]
    assert {take["adapter_id"] for take in job["takes"]} == {str(warm.id)}


def test_an_adapter_of_another_model_is_refused_before_anything_waits(desk: Desk) -> None:
    alien = add_adapter(desk.studio, base_model="facebook/musicgen-large")
    told = problem(desk.client, {"prompt": WALK, "adapter_id": str(alien.id)})
    assert (told["status"], told["field"]) == (422, "adapter_id")
    assert "facebook/musicgen-large" in told["detail"]
    assert NOISE_MODEL in told["detail"]
    assert count(desk.studio, Prompt) == count(desk.studio, GenerationJob) == 0


def test_the_model_may_be_named(desk: Desk) -> None:
    assert desk.submit(model=NOISE_MODEL)["model"] == NOISE_MODEL
    told = problem(desk.client, {"prompt": WALK, "model": "facebook/musicgen-small"})
    assert (told["status"], told["code"], told["field"]) == (422, "invalid_input", "model")
    assert NOISE_MODEL in told["detail"]


def test_the_model_that_was_served_last_is_meant_where_none_is_named(desk: Desk) -> None:
    desk.clock.advance(60)
    with desk.studio.work() as work:
        models.announce(work, replace(noise_info(), id="newer"), worker="other", capacity=8)
    assert desk.submit()["model"] == "newer"


def test_without_any_model_the_request_is_asked_to_come_back(studio: Studio) -> None:
    from text2song.api.main import build_api

    with TestClient(build_api(studio), base_url="http://127.0.0.1:8000") as client:
        answer = client.post("/generate", json={"prompt": WALK})
    assert (answer.status_code, answer.json()["code"]) == (503, "no_model_served")
    assert int(answer.headers["retry-after"]) > 0
    assert "loading" in answer.json()["detail"]


def test_the_same_key_and_body_give_the_same_job(desk: Desk) -> None:
    asked = {"prompt": WALK, "num_samples": 2}
    key = {"Idempotency-Key": "one"}
    first = desk.client.post("/generate", json=asked, headers=key)
    again = desk.client.post("/generate", json={"num_samples": 2, "prompt": WALK, "priority": 0}, headers=key)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert count(desk.studio, GenerationJob) == count(desk.studio, Prompt) == 1
    assert desk.bells.rung == ["generation"]
    other = desk.client.post("/generate", json=asked, headers={"Idempotency-Key": "two"})
    assert other.json()["id"] != first.json()["id"]


def test_the_same_key_with_another_body_is_refused(desk: Desk) -> None:
    desk.client.post("/generate", json={"prompt": WALK}, headers={"Idempotency-Key": "one"})
    told = problem(desk.client, {"prompt": WALK, "num_samples": 2}, **{"Idempotency-Key": "one"})
    assert (told["status"], told["code"]) == (422, "idempotency_mismatch")
    assert "new key" in told["detail"]
    assert count(desk.studio, GenerationJob) == 1


def test_the_same_key_many_times_at_once_makes_one_job(desk: Desk) -> None:
    def ask(_: int) -> tuple[int, str]:
        answer = desk.client.post("/generate", json={"prompt": WALK}, headers={"Idempotency-Key": "one"})
        return answer.status_code, answer.json()["id"]

    with ThreadPoolExecutor(8) as threads:
        answers = set(threads.map(ask, range(24)))
    assert {status for status, _ in answers} == {202}
    assert len(answers) == 1
    assert count(desk.studio, GenerationJob) == count(desk.studio, Prompt) == 1


def test_a_key_that_was_refused_may_be_used_again(desk: Desk) -> None:
    key = {"Idempotency-Key": "one"}
    assert desk.client.post("/generate", json={"prompt": WALK, "model": "x"}, headers=key).status_code == 422
    assert desk.client.post("/generate", json={"prompt": WALK}, headers=key).status_code == 202


@pytest.mark.parametrize("key", ["", "k" * 201])
def test_a_key_has_a_sane_length(shared_desk: Desk, key: str) -> None:
    told = problem(shared_desk.client, {"prompt": WALK}, **{"Idempotency-Key": key})
    assert (told["status"], told["field"]) == (422, "idempotency-key")


def test_too_many_waiting_jobs_are_refused_and_none_is_lost(desk: Desk) -> None:
    limit = 3
    small = replace(desk.studio, settings=desk.studio.settings.model_copy(update={"max_queued_jobs": limit}))
    from text2song.api.main import build_api

    with TestClient(build_api(small), base_url="http://127.0.0.1:8000") as client:
        jobs = [client.post("/generate", json={"prompt": WALK}).json() for _ in range(limit)]
        answer = client.post("/generate", json={"prompt": WALK})
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert "cancel some" in answer.json()["detail"]
        client.delete(f"/generate/{jobs[0]['id']}")
        assert client.post("/generate", json={"prompt": WALK}).status_code == 202
    assert count(desk.studio, Prompt) == limit + 1
