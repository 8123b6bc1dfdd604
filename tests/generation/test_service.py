from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select

from tests.api.team import gather
from tests.benches import Bench
from tests.jobs.workshop import wait_until
from tests.studios import Desk
from text2song.generation.tables import GenerationJob
from text2song.jobs import lifecycle
from text2song.model.protocol import RowResult
from text2song.models.tables import Model


def test_a_waiting_job_is_cancelled(desk: Desk) -> None:
    job = desk.submit(num_samples=2)
    desk.clock.advance(5)
    answer = desk.client.delete(f"/generate/{job['id']}")
    assert answer.status_code == 200
    told = answer.json()
    assert (told["changed"], told["message"]) == (True, "The job is cancelled.")
    cancelled = told["job"]
    assert cancelled == desk.client.get(f"/generate/{job['id']}").json()
    assert (cancelled["status"], cancelled["stage"], cancelled["position"]) == (
        "cancelled",
        "cancelled",
        None,
    )
    assert {take["status"] for take in cancelled["takes"]} == {"cancelled"}
    assert cancelled["sequence"] > job["sequence"]
    assert cancelled["finished_at"] == "2026-01-01T12:00:05Z"


def test_a_running_job_is_taken_from_its_worker(desk: Desk) -> None:
    job = desk.submit()
    with desk.studio.work() as work:
        now = work.clock()
        claim = lifecycle.claim(work.session, GenerationJob, worker="w", now=now, lease_seconds=60)
    assert claim is not None
    assert desk.client.delete(f"/generate/{job['id']}").json()["changed"]
    with desk.studio.work() as work:
        now = work.clock()
        assert not lifecycle.beat(work.session, GenerationJob, claim, now=now, lease_seconds=60, report=None)


def test_what_is_over_stays_as_it_is_and_the_answer_says_so(bench: Bench) -> None:
    desk = bench.desk
    made, dropped = desk.submit(), desk.submit()
    desk.client.delete(f"/generate/{dropped['id']}")
    bench.work()
    for job, status in ((made, "succeeded"), (dropped, "cancelled")):
        before = desk.client.get(f"/generate/{job['id']}").json()
        answer = desk.client.delete(f"/generate/{job['id']}")
        assert answer.status_code == 200
        assert answer.json()["changed"] is False
        assert answer.json()["message"] == f"Nothing changed: the job is over already ({status})."
        assert answer.json()["job"] == before
        assert before["status"] == status


def test_the_takes_of_a_cancelled_job_are_made_by_a_retry_with_their_seeds(bench: Bench) -> None:
    desk = bench.desk
    job = desk.submit(num_samples=2, generation_params={"seed": 7, "duration": 1}, priority=4)
    desk.client.delete(f"/generate/{job['id']}")
    bench.work()
    assert bench.entered == []
    again = desk.client.post(f"/generate/{job['id']}/retry").json()
    for same in ("prompt_id", "sentence", "model", "priority", "sides", "generation_params"):
        assert again[same] == job[same]
    assert [take["seed"] for take in again["takes"]] == [7, 8]
    bench.work()
    assert desk.client.get(f"/generate/{again['id']}").json()["status"] == "succeeded"
    assert desk.client.get(f"/generate/{job['id']}").json()["status"] == "cancelled"


def test_a_retry_with_the_same_key_is_the_same_job(desk: Desk) -> None:
    first, other = desk.submit(), desk.submit()
    for job in (first, other):
        desk.client.delete(f"/generate/{job['id']}")
    desk.bells.rung.clear()

    def retry(job: dict[str, Any], *, key: str | None) -> Any:  # noqa: ANN401  # httpx's answer
        headers = {} if key is None else {"Idempotency-Key": key}
        return desk.client.post(f"/generate/{job['id']}/retry", headers=headers)

    answer, again = retry(first, key="one"), retry(first, key="one")
    assert (answer.status_code, again.status_code) == (202, 202)
    assert again.json() == answer.json()
    assert again.headers["location"] == answer.headers["location"]
    assert desk.bells.rung == ["generation"]
    for key in (None, "two"):
        assert retry(first, key=key).status_code == 409
    told = retry(other, key="one")
    assert (told.status_code, told.json()["code"]) == (422, "idempotency_mismatch")
    assert retry(other, key="three").status_code == 202
    body = {"prompt": {"text": "rain"}}
    told = desk.client.post("/generate", json=body, headers={"Idempotency-Key": "one"})
    assert told.json()["code"] == "idempotency_mismatch"


def test_a_key_shows_no_job_that_its_sender_may_see_no_more(desk: Desk) -> None:
    team = gather(desk)
    path = f"/generate/{team.cancelled_job()}/retry"
    admin, key = team.people["admin"], {"Idempotency-Key": "one"}
    assert admin.ask("POST", path, headers=key).status_code == 202
    assert admin.ask("POST", "/users", json={"name": "Heir", "role": "admin"}).status_code == 201
    assert admin.ask("PATCH", f"/users/{admin.id}", json={"role": "creator"}).status_code == 200
    assert admin.ask("POST", path, headers=key).status_code == 404


def test_the_same_retry_many_times_at_once_makes_one_job(desk: Desk) -> None:
    job = desk.submit()
    desk.client.delete(f"/generate/{job['id']}")

    def ask(_: int) -> tuple[int, str]:
        answer = desk.client.post(f"/generate/{job['id']}/retry", headers={"Idempotency-Key": "one"})
        return answer.status_code, answer.json()["id"]

    with ThreadPoolExecutor(8) as threads:
        answers = set(threads.map(ask, range(16)))
    assert [status for status, _ in answers] == [202]
    assert len(desk.client.get("/generate").json()["items"]) == 2


def test_a_retry_whose_model_is_gone_names_the_job_that_wants_it(desk: Desk) -> None:
    job = desk.submit()
    desk.client.delete(f"/generate/{job['id']}")
    with desk.studio.work() as work:
        work.session.scalars(select(Model)).one().name = "somebody/another"
    answer = desk.client.post(f"/generate/{job['id']}/retry")
    assert (answer.status_code, answer.json()["field"]) == (422, "job_id")
    assert job["model"] in answer.json()["detail"]


@pytest.mark.parametrize("status", ["queued", "succeeded"])
def test_only_what_failed_or_was_cancelled_is_retried(bench: Bench, status: str) -> None:
    job = bench.desk.submit()
    if status == "succeeded":
        bench.work()
    answer = bench.desk.client.post(f"/generate/{job['id']}/retry")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert status in answer.json()["detail"]


def test_the_prompt_of_a_waiting_job_takes_the_job_with_it(bench: Bench) -> None:
    desk = bench.desk
    gone, stays = desk.submit(), desk.submit()
    assert desk.client.delete(f"/prompts/{gone['prompt_id']}").status_code == 204
    assert desk.client.get(f"/generate/{gone['id']}").status_code == 404
    bench.work()
    assert [job["id"] for job in desk.client.get("/generate").json()["items"]] == [stays["id"]]


def test_a_prompt_with_takes_stays_and_says_why(bench: Bench) -> None:
    desk = bench.desk
    job = desk.submit()
    bench.work()
    answer = desk.client.delete(f"/prompts/{job['prompt_id']}")
    assert (answer.status_code, answer.json()["code"]) == (409, "in_use")
    assert "Delete those takes first" in answer.json()["detail"]
    assert desk.client.get(f"/generate/{job['id']}").json()["status"] == "succeeded"
    sample = desk.client.get(f"/generate/{job['id']}").json()["samples"][0]
    assert desk.client.delete(f"/audio/{sample['id']}").status_code == 204
    assert desk.client.delete(f"/prompts/{job['prompt_id']}").status_code == 204


def test_a_deleted_sample_is_news_of_its_job_and_of_no_other(bench: Bench) -> None:
    made, other = (bench.make(num_samples=2, generation_params={"duration": 0.5}) for _ in range(2))
    assert bench.desk.client.delete(f"/audio/{made['samples'][0]['id']}").status_code == 204
    assert bench.job(other) == other
    seen = bench.job(made)
    assert seen["sequence"] > made["sequence"]
    assert [take["audio_id"] for take in seen["takes"]] == [None, made["samples"][1]["id"]]
    assert bench.desk.client.delete(f"/audio/{made['samples'][0]['id']}").status_code == 404
    assert bench.job(made) == seen


def test_who_waits_for_a_running_job_hears_that_a_take_of_it_was_deleted(bench: Bench) -> None:
    seen: list[dict[str, Any]] = []

    def delete_the_first(desk: Desk, result: RowResult) -> RowResult:
        def newest() -> dict[str, Any]:
            found: dict[str, Any] = desk.client.get("/generate").json()["items"][0]
            return found

        if result.row == 1:
            wait_until(lambda: bool(newest()["samples"]))  # the first take is saved beside
            job = newest()
            desk.client.delete(f"/audio/{job['samples'][0]['id']}")
            query = {"wait": 30, "since": job["sequence"]}
            seen.extend([job, desk.client.get(f"/generate/{job['id']}", params=query).json()])
        return result

    bench.trouble = delete_the_first
    bench.make(num_samples=2, generation_params={"duration": 0.5})
    before, after = seen
    assert (before["status"], after["status"]) == ("running", "running")
    assert len(before["samples"]) == 1
    assert (after["samples"], after["takes"][0]["audio_id"]) == ([], None)
    assert after["sequence"] > before["sequence"]
