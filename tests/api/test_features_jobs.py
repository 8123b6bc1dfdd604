"""Jobs over HTTP, with a worker that really works: what a client sees while it waits."""

import datetime as dt
import threading
from typing import Any

import pytest

from tests.figures import RecordFigure
from tests.studios import Serving

LONG = {"seed": 7, "duration": 30}
SHORT = {"seed": 7, "duration": 1}


def submit(serving: Serving, **body: object) -> dict[str, Any]:
    asked = {"prompt": {"text": "a slow walk home"}, "generation_params": SHORT} | body
    answer = serving.client.post("/generate", json=asked)
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    return job


def seen_until_the_end(serving: Serving, job: dict[str, Any]) -> list[dict[str, Any]]:
    """Every answer of a client that polls as fast as it can."""
    answers = [job]
    while answers[-1]["status"] in {"queued", "running"}:
        answers.append(serving.client.get(f"/generate/{job['id']}").json())
    return answers


def running(serving: Serving, job: dict[str, Any]) -> dict[str, Any]:
    """The job once its first frames are there."""
    while job["status"] == "queued" or not job["progress"]:
        assert job["status"] in {"queued", "running"}, job
        query = {"wait": 30, "since": job["sequence"]}
        job = serving.client.get(f"/generate/{job['id']}", params=query).json()
    return job


def codes(serving: Serving, job: dict[str, Any]) -> list[str]:
    return [serving.client.get(f"/audio/{sample['id']}").json()["codes_sha256"] for sample in job["samples"]]


def moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def test_what_a_client_sees_never_goes_backwards(shared_serving: Serving) -> None:
    answers = seen_until_the_end(
        shared_serving, submit(shared_serving, num_samples=2, generation_params={"duration": 5})
    )
    assert len(answers) > 10
    for name in ("sequence", "progress", "frames_done", "attempts"):
        told = [answer[name] for answer in answers]
        assert told == sorted(told), name
    by_sequence: dict[int, dict[str, Any]] = {}
    for answer in answers:
        known = by_sequence.setdefault(answer["sequence"], answer)
        for name in ("status", "progress", "stage", "takes", "samples", "error"):
            assert answer[name] == known[name]  # one sequence, one state
    stages = list(dict.fromkeys(answer["stage"] for answer in answers))
    assert stages[-1] == "done"
    assert set(stages) <= {"waiting", "starting", "composing", "rendering", "done"}
    assert {"composing", "done"} <= set(stages)
    assert answers[-1]["status"] == "succeeded"
    assert all(0 <= answer["progress"] <= 1 for answer in answers)


def test_a_client_that_waits_hears_everything_with_few_questions(shared_serving: Serving) -> None:
    job = submit(shared_serving, generation_params={"duration": 5})
    questions, last = 0, job
    while last["status"] in {"queued", "running"}:
        query = {"wait": 60, "since": last["sequence"]}
        answer = shared_serving.client.get(f"/generate/{job['id']}", params=query).json()
        assert answer["sequence"] > last["sequence"]
        questions, last = questions + 1, answer
    assert last["status"] == "succeeded"
    assert questions < 100


def test_one_call_waits_for_many_jobs(shared_serving: Serving) -> None:
    jobs = [submit(shared_serving) for _ in range(4)]
    ids = ",".join(job["id"] for job in jobs)
    while any(job["status"] in {"queued", "running"} for job in jobs):
        open_jobs = [job for job in jobs if job["status"] in {"queued", "running"}]
        query: dict[str, str | int] = {
            "ids": ",".join(job["id"] for job in open_jobs),
            "wait": 60,
            "since": ",".join(str(job["sequence"]) for job in open_jobs),
        }
        news = shared_serving.client.get("/generate", params=query).json()["items"]
        assert any(a["sequence"] > b["sequence"] for a, b in zip(news, open_jobs, strict=True))
        jobs = shared_serving.client.get("/generate", params={"ids": ids}).json()["items"]
    assert {job["status"] for job in jobs} == {"succeeded"}


def test_a_cancel_takes_effect_within_a_second_and_harms_nobody(
    shared_serving: Serving, record_figure: RecordFigure
) -> None:
    undisturbed = codes(shared_serving, shared_serving.make(generation_params=SHORT))
    victim = submit(shared_serving, num_samples=8, generation_params=LONG)
    following = submit(shared_serving)
    running(shared_serving, victim)
    answer = shared_serving.client.delete(f"/generate/{victim['id']}").json()
    assert answer["changed"] is True
    done = shared_serving.finished(following)
    assert codes(shared_serving, done) == undisturbed
    cancelled = shared_serving.client.get(f"/generate/{victim['id']}").json()
    assert (cancelled["status"], cancelled["samples"]) == ("cancelled", [])
    # the worker is free when it takes up the next job
    delay = moment(done["started_at"]) - moment(cancelled["finished_at"])
    record_figure("cancel_to_next_job", delay.total_seconds(), "s")
    assert delay.total_seconds() < 1
    again = shared_serving.client.delete(f"/generate/{victim['id']}").json()
    assert (again["changed"], again["job"]) == (False, cancelled)


def test_a_cancel_beside_others_in_the_same_batch_leaves_them_alone(shared_serving: Serving) -> None:
    params = {"seed": 11, "duration": 2}
    alone = codes(shared_serving, shared_serving.make(generation_params=params))
    blocker = submit(shared_serving, num_samples=8, generation_params=LONG)
    running(shared_serving, blocker)
    mates = [submit(shared_serving, generation_params=params)]
    mates += [submit(shared_serving, generation_params=LONG) for _ in range(2)]
    shared_serving.client.delete(f"/generate/{blocker['id']}")  # now the mates are claimed together
    running(shared_serving, mates[1])
    shared_serving.client.delete(f"/generate/{mates[1]['id']}")
    shared_serving.client.delete(f"/generate/{mates[2]['id']}")
    assert codes(shared_serving, shared_serving.finished(mates[0])) == alone


def test_a_prompt_may_go_while_its_job_runs(shared_serving: Serving) -> None:
    victim = running(shared_serving, submit(shared_serving, generation_params=LONG))
    assert shared_serving.client.delete(f"/prompts/{victim['prompt_id']}").status_code == 204
    assert shared_serving.make(generation_params=SHORT)["status"] == "succeeded"
    assert shared_serving.client.get(f"/generate/{victim['id']}").status_code == 404
    listed = shared_serving.client.get("/audio", params={"prompt_id": victim["prompt_id"]}).json()
    assert listed["items"] == []


def test_the_estimate_comes_with_the_speed(shared_serving: Serving) -> None:
    shared_serving.make(generation_params=SHORT)
    shared_serving.worker._beat()  # what the sweep does every few seconds
    (worker,) = shared_serving.client.get("/models").json()["items"][0]["workers"]
    assert worker["speed"] > 0
    jobs = [submit(shared_serving, generation_params=LONG) for _ in range(2)]
    ids = ",".join(job["id"] for job in jobs)
    estimates = [
        job["eta_seconds"] for job in shared_serving.client.get(f"/generate?ids={ids}").json()["items"]
    ]
    assert all(estimate > 0 for estimate in estimates)
    for job in jobs:
        shared_serving.client.delete(f"/generate/{job['id']}")


def test_who_came_first_is_served_first_but_for_priority(serving: Serving) -> None:
    blocker = running(serving, submit(serving, num_samples=8, generation_params=LONG))
    jobs = [submit(serving, num_samples=8, priority=priority) for priority in (0, 0, 5, -5)]
    serving.client.delete(f"/generate/{blocker['id']}")
    done = [serving.finished(job) for job in jobs]
    in_order = sorted(range(4), key=lambda number: str(done[number]["started_at"]))
    assert in_order == [2, 0, 1, 3]


@pytest.mark.timeout(120)
def test_many_clients_at_once_lose_nothing(serving: Serving) -> None:
    done: list[dict[str, Any]] = []

    def client(number: int) -> None:
        params = {"seed": 50 + number, "duration": 0.5}
        job = serving.finished(submit(serving, num_samples=2, generation_params=params))
        for sample in job["samples"]:
            assert serving.client.get(sample["stream_url"]).status_code == 200
        done.append(job)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [job["status"] for job in done] == ["succeeded"] * 12
    assert len({sample["id"] for job in done for sample in job["samples"]}) == 24
    assert len(serving.client.get("/audio?limit=200").json()["items"]) == 24


def test_a_worker_that_is_stopped_in_the_middle_hands_its_job_back(serving: Serving) -> None:
    job = running(serving, submit(serving, num_samples=2, generation_params=LONG))
    serving.worker.stop()
    waiting = serving.client.get(f"/generate/{job['id']}").json()
    assert (waiting["status"], waiting["position"], waiting["error"]) == ("queued", 1, None)
    assert serving.client.get("/models").json()["items"][0]["workers"] == []
