import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from tests.studios import Desk
from text2song.generation.tables import GenerationJob
from text2song.jobs import lifecycle
from text2song.jobs.lifecycle import Claim, Report
from text2song.models import service as models
from text2song.models.tables import ModelWorker


def claim(desk: Desk) -> Claim:
    with desk.studio.work() as work:
        now = work.clock()
        claimed = lifecycle.claim(work.session, GenerationJob, worker="w", now=now, lease_seconds=60)
    assert claimed is not None
    return claimed


def progress(desk: Desk, claimed: Claim, fraction: float) -> None:
    with desk.studio.work() as work:
        report = Report(fraction, "composing")
        now = work.clock()
        assert lifecycle.beat(work.session, GenerationJob, claimed, now=now, lease_seconds=60, report=report)


def measured(desk: Desk, speed: float) -> None:
    """The idle worker says how fast it is."""
    with desk.studio.work() as work:
        worker = work.session.query(ModelWorker).one()
        models.beat(work, worker.id, speed=speed)


def listed(desk: Desk, jobs: list[dict[str, Any]], **query: str | float) -> list[dict[str, Any]]:
    ids = ",".join(job["id"] for job in jobs)
    answer = desk.client.get("/generate", params={"ids": ids, **query})
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def test_the_position_counts_down_to_the_turn(desk: Desk) -> None:
    jobs = [desk.submit() for _ in range(3)]
    assert [job["position"] for job in listed(desk, jobs)] == [1, 2, 3]
    claim(desk)
    assert [job["position"] for job in listed(desk, jobs)] == [None, 1, 2]
    desk.client.delete(f"/generate/{jobs[1]['id']}")
    assert [job["position"] for job in listed(desk, jobs)] == [None, None, 1]


def test_a_higher_priority_comes_first_and_a_lower_one_last(desk: Desk) -> None:
    jobs = [desk.submit(priority=priority) for priority in (0, -10, 10, 0)]
    assert [job["position"] for job in listed(desk, jobs)] == [2, 4, 1, 3]


def test_the_estimate_appears_once_the_speed_is_known(desk: Desk) -> None:
    jobs = [desk.submit(num_samples=2, generation_params={"duration": 3}) for _ in range(2)]
    assert [job["eta_seconds"] for job in listed(desk, jobs)] == [None, None]
    measured(desk, 2.0)
    assert [job["eta_seconds"] for job in listed(desk, jobs)] == [3.0, 6.0]


def test_the_estimate_counts_what_runs_and_what_is_ahead(desk: Desk) -> None:
    measured(desk, 2.0)
    jobs = [desk.submit(generation_params={"duration": seconds}) for seconds in (8, 4, 2)]
    running = claim(desk)
    progress(desk, running, 0.75)
    assert [job["eta_seconds"] for job in listed(desk, jobs)] == [
        1.6,
        3.6,
        4.6,
    ]  # what is composed is still to be rendered
    with desk.studio.work() as work:
        lifecycle.finish(work.session, GenerationJob, running, now=work.clock())
    assert [job["eta_seconds"] for job in listed(desk, jobs)] == [None, 2.0, 3.0]


def test_what_is_composed_is_not_done_before_it_is_rendered(desk: Desk) -> None:
    measured(desk, 2.0)
    job = desk.submit(generation_params={"duration": 10})
    claimed = claim(desk)
    progress(desk, claimed, 1.0)
    (seen,) = listed(desk, [job])
    assert (seen["progress"], seen["eta_seconds"]) == (0.8, 1.0)
    assert seen["frames_done"] == seen["frames_total"]


def test_a_worker_that_is_gone_promises_nothing(desk: Desk) -> None:
    measured(desk, 2.0)
    job = desk.submit()
    desk.clock.advance(31)
    assert listed(desk, [job])[0]["eta_seconds"] is None


def test_jobs_are_listed_newest_first_and_filtered(desk: Desk) -> None:
    jobs = [desk.submit() for _ in range(3)]
    desk.client.delete(f"/generate/{jobs[1]['id']}")

    def ids(**query: str) -> list[str]:
        return [job["id"] for job in desk.client.get("/generate", params=query).json()["items"]]

    first, second, third = (job["id"] for job in jobs)
    assert ids() == [third, second, first]
    assert ids(status="queued") == [third, first]
    assert ids(status="cancelled") == [second]
    assert ids(prompt_id=jobs[0]["prompt_id"]) == [first]
    assert ids(prompt_id=jobs[0]["prompt_id"], status="failed") == []


def test_pages_neither_skip_nor_repeat_while_jobs_are_added(desk: Desk) -> None:
    known = [desk.submit()["id"] for _ in range(7)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query: dict[str, Any] = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = desk.client.get("/generate", params=query).json()
        seen += [job["id"] for job in page["items"]]
        cursor = page["next_cursor"]
        desk.submit()
        if cursor is None:
            break
    assert seen == known[::-1]


def test_named_jobs_come_in_the_order_of_the_names_even_twice(desk: Desk) -> None:
    first, second = desk.submit(), desk.submit()
    asked = [second, first, second]
    assert [job["id"] for job in listed(desk, asked)] == [job["id"] for job in asked]


@contextmanager
def counted(desk: Desk) -> Iterator[list[str]]:
    statements: list[str] = []

    def count(_c: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(desk.studio.engine, "before_cursor_execute", count)
    yield statements
    event.remove(desk.studio.engine, "before_cursor_execute", count)


def test_the_number_of_queries_does_not_grow_with_the_number_of_jobs(desk: Desk) -> None:
    jobs = [desk.submit(num_samples=4) for _ in range(30)]
    claim(desk)
    spent = {}
    for number in (2, 30):
        with counted(desk) as by_id:
            assert len(listed(desk, jobs[:number])) == number
        with counted(desk) as by_page:
            assert len(desk.client.get(f"/generate?limit={number}").json()["items"]) == number
        spent[number] = (len(by_id), len(by_page))
    assert spent[2] == spent[30]
    assert 0 < max(spent[30]) <= 11  # one of them asks who asks


def test_a_job_that_is_over_costs_no_estimate(desk: Desk) -> None:
    job = desk.submit()
    desk.client.delete(f"/generate/{job['id']}")
    with counted(desk) as statements:
        assert desk.client.get(f"/generate/{job['id']}").json()["status"] == "cancelled"
    read = [statement.partition("FROM ")[2].split()[0] for statement in statements if "FROM " in statement]
    assert read == ["users", "generation_jobs", "generation_takes", "models"]  # the first tells who asks


@pytest.mark.timeout(30)  # a wait of sixty seconds that nobody ends is a failure
class TestWaiting:
    def test_without_anything_seen_the_answer_comes_at_once(self, desk: Desk) -> None:
        job = desk.submit()
        assert desk.client.get(f"/generate/{job['id']}?wait=60").json() == job
        assert listed(desk, [job], wait=60) == [job]

    def test_news_that_came_before_is_told_at_once(self, desk: Desk) -> None:
        jobs = [desk.submit(), desk.submit()]
        claim(desk)
        running = desk.client.get(f"/generate/{jobs[0]['id']}?wait=60&since=1").json()
        assert (running["status"], running["sequence"]) == ("running", 2)
        assert [job["sequence"] for job in listed(desk, jobs, wait=60, since="1,1")] == [2, 1]
        assert [job["sequence"] for job in listed(desk, jobs, wait=60, since="1")] == [2, 1]

    def test_a_job_that_is_over_is_news_once(self, desk: Desk) -> None:
        jobs = [desk.submit(), desk.submit()]
        desk.client.delete(f"/generate/{jobs[0]['id']}")
        over = desk.client.get(f"/generate/{jobs[0]['id']}?wait=60&since=1").json()
        assert (over["status"], over["sequence"]) == ("cancelled", 2)
        began = time.monotonic()
        assert listed(desk, jobs, wait=0.5, since="2,1")[0] == over
        assert desk.client.get(f"/generate/{over['id']}?wait=0.5&since=2").json() == over
        assert time.monotonic() - began >= 1.0  # and a follower of both does not spin
        assert desk.client.get(f"/generate/{over['id']}?wait=60").json() == over

    def test_without_news_the_answer_is_what_was_known(self, desk: Desk) -> None:
        jobs = [desk.submit(), desk.submit()]
        path = f"/generate/{jobs[0]['id']}?wait=0.3&since=1"
        assert desk.client.get(path).json() == jobs[0]
        assert listed(desk, jobs, wait=0.3, since="1,1") == listed(desk, jobs)

    def test_news_ends_the_wait_of_all_who_wait(self, desk: Desk) -> None:
        jobs = [desk.submit() for _ in range(3)]
        answers: list[str] = []

        def wait_for_one() -> None:
            answers.append(desk.client.get(f"/generate/{jobs[1]['id']}?wait=60&since=1").json()["status"])

        def wait_for_all() -> None:
            answers.append(listed(desk, jobs, wait=60, since="1,1,1")[1]["status"])

        threads = [threading.Thread(target=wait) for wait in (wait_for_one, wait_for_all, wait_for_all)]
        for thread in threads:
            thread.start()
        desk.client.delete(f"/generate/{jobs[1]['id']}")
        for thread in threads:
            thread.join()
        assert answers == ["cancelled"] * 3

    def test_a_job_that_goes_away_ends_the_wait(self, desk: Desk) -> None:
        job = desk.submit()
        statuses: list[int] = []

        def wait() -> None:
            statuses.append(desk.client.get(f"/generate/{job['id']}?wait=60&since=1").status_code)

        thread = threading.Thread(target=wait)
        thread.start()
        assert desk.client.delete(f"/prompts/{job['prompt_id']}").status_code == 204
        thread.join()
        assert statuses == [404]
