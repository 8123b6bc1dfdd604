"""Each person's share, as they meet it: over HTTP."""

import datetime as dt
import threading
import uuid
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from tests.api.team import Team, gather
from tests.studios import Desk
from text2song.db.base import new_id
from text2song.generation import retention
from text2song.generation.quotas import BYTES_A_SECOND, _earliest_id
from text2song.generation.tables import GenerationJob, UsedSeconds
from text2song.jobs import lifecycle
from text2song.studio import Studio


@pytest.fixture(name="team")
def make_team(desk: Desk) -> Team:
    return gather(desk)


def set_share(team: Team, **share: int | None) -> None:
    answer = team.people["admin"].ask("PATCH", f"/users/{team.owner.id}", json=share)
    assert answer.status_code == 200, answer.text


def deploy(desk: Desk, **settings: float) -> None:
    """Go on with other settings."""
    app: Any = desk.client.app
    app.state.studio = replace(desk.studio, settings=desk.studio.settings.model_copy(update=settings))


def submit(team: Team, who: str = "owner", *, seconds: float = 10, takes: int = 1) -> Any:  # noqa: ANN401  # httpx2's
    body = {"prompt": {"text": "a"}, "generation_params": {"duration": seconds}, "num_samples": takes}
    return team.ask(who, "POST", "/generate", json=body)


def begin(team: Team) -> None:
    """A worker begins with the job that waits longest."""
    studio = team.desk.studio
    with studio.work() as work:
        assert lifecycle.claim(work.session, GenerationJob, worker="w", now=studio.clock(), lease_seconds=15)


def refused(answer: Any) -> str:  # noqa: ANN401  # httpx2's
    assert (answer.status_code, answer.json()["code"]) == (429, "quota_exceeded"), answer.text
    return str(answer.json()["detail"])


def test_so_many_jobs_of_one_person_wait_at_once(team: Team) -> None:
    set_share(team, max_queued_jobs=2)
    jobs = [submit(team).json()["id"] for _ in range(2)]
    assert "2 jobs of yours may wait at once" in refused(submit(team))
    assert submit(team, "other").status_code == 202  # another's share is another's
    assert submit(team, "admin").status_code == 202
    team.owner.ask("DELETE", f"/generate/{jobs[0]}")
    assert "may wait" not in submit(team).text
    assert "may wait" in refused(team.owner.ask("POST", f"/generate/{jobs[0]}/retry"))
    # also by an admin's hand: the job would be the owner's
    assert "may wait" in refused(team.ask("admin", "POST", f"/generate/{jobs[0]}/retry"))


def test_so_many_minutes_are_asked_for_in_a_day(team: Team, desk: Desk) -> None:
    set_share(team, max_minutes_a_day=1)
    assert submit(team, seconds=10, takes=4).status_code == 202
    assert "1 minute of audio in 24 hours" in refused(submit(team, seconds=21))
    desk.clock.advance(3600)
    assert submit(team, seconds=20).status_code == 202
    refused(submit(team, seconds=1))
    desk.clock.advance(23 * 3600 - 1)
    refused(submit(team, seconds=1))
    desk.clock.advance(1)  # now the first job is a day old
    assert submit(team, seconds=10, takes=4).status_code == 202
    refused(submit(team, seconds=1))


def test_what_was_cancelled_before_it_began_was_not_asked_for(team: Team) -> None:
    set_share(team, max_minutes_a_day=1)
    job = submit(team, seconds=30, takes=2).json()
    refused(submit(team, seconds=30))
    team.owner.ask("DELETE", f"/generate/{job['id']}")
    assert submit(team, seconds=30, takes=2).status_code == 202


@pytest.mark.databases("sqlite", "postgresql")
@pytest.mark.parametrize("who", ["owner", "admin"])
@pytest.mark.parametrize("is_cancelled", [True, False])
def test_what_was_begun_stays_used_for_its_day_when_it_is_deleted(
    team: Team, who: str, *, is_cancelled: bool
) -> None:
    set_share(team, max_minutes_a_day=1)
    job = submit(team, seconds=25).json()
    team.desk.clock.advance(3600)
    assert submit(team, seconds=25).status_code == 202
    begin(team)
    if is_cancelled:
        team.owner.ask("DELETE", f"/generate/{job['id']}")
    assert team.ask(who, "DELETE", f"/prompts/{job['prompt_id']}").status_code == 204
    assert submit(team, "admin", seconds=30, takes=4).status_code == 202  # it is the owner's share
    refused(submit(team, seconds=11))
    team.desk.clock.advance(23 * 3600 - 1)
    refused(submit(team, seconds=11))
    team.desk.clock.advance(1)
    assert submit(team, seconds=25).status_code == 202
    refused(submit(team, seconds=11))  # the job that is still there is an hour younger


@pytest.mark.databases("sqlite", "postgresql")
def test_what_is_forgotten_within_its_day_stays_used(team: Team) -> None:
    set_share(team, max_minutes_a_day=1)
    job = submit(team, seconds=30).json()
    begin(team)
    team.owner.ask("DELETE", f"/generate/{job['id']}")
    team.desk.clock.advance(3600)
    deploy(team.desk, keep_finished_jobs_days=0.01)
    studio: Studio = team.desk.client.app.state.studio  # type: ignore[attr-defined]  # of FastAPI
    assert list(retention.retire(studio)) == [1]
    assert team.owner.ask("GET", f"/generate/{job['id']}").status_code == 404
    refused(submit(team, seconds=16, takes=2))


@pytest.mark.parametrize(("age_seconds", "kept"), [(86_399, 1), (86_400, 0)])
def test_no_more_is_noted_of_a_deleted_job_than_its_day_needs(
    team: Team, age_seconds: int, kept: int
) -> None:
    job = submit(team).json()
    begin(team)
    team.desk.clock.advance(age_seconds)
    team.owner.ask("DELETE", f"/prompts/{job['prompt_id']}")
    with team.desk.studio.read() as reader:
        noted = [str(job_id) for job_id in reader.session.scalars(select(UsedSeconds.id))]
    assert noted == [job["id"]] * kept


def test_what_never_began_is_free_once_it_is_deleted(team: Team) -> None:
    set_share(team, max_minutes_a_day=1)
    job = submit(team, seconds=30, takes=2).json()
    team.owner.ask("DELETE", f"/prompts/{job['prompt_id']}")
    assert submit(team, seconds=30, takes=2).status_code == 202


def test_so_many_bytes_are_kept_for_one_person(team: Team) -> None:
    audio_id = team.sample()
    size_bytes = team.owner.ask("GET", f"/audio/{audio_id}").json()["size_bytes"]
    set_share(team, max_storage_bytes=size_bytes + 1)
    waiting = submit(team)
    assert waiting.status_code == 202
    assert f"your share of {size_bytes + 1:,} bytes" in refused(submit(team))  # it would be full by then
    set_share(team, max_storage_bytes=size_bytes + 10 * BYTES_A_SECOND + 1)
    assert submit(team).status_code == 202
    assert "or cancel a job" in refused(submit(team))
    set_share(team, max_storage_bytes=size_bytes)
    for job in team.owner.ask("GET", "/generate?status=queued").json()["items"]:
        team.owner.ask("DELETE", f"/generate/{job['id']}")
    assert f"your share of {size_bytes:,} bytes: delete some" in refused(submit(team))
    assert submit(team, "other").status_code == 202
    assert team.owner.ask("DELETE", f"/audio/{audio_id}").status_code == 204
    assert submit(team).status_code == 202


@pytest.mark.parametrize("own", [None, 5])
def test_the_settings_say_what_holds_where_nothing_else_is_said(team: Team, own: int | None) -> None:
    set_share(team, max_queued_jobs=own)
    deploy(team.desk, quota_queued_jobs=1)
    answers = [submit(team).status_code for _ in range(3)]
    assert answers == ([202, 429, 429] if own is None else [202, 202, 202])


def test_nought_is_a_share_too(team: Team) -> None:
    set_share(team, max_minutes_a_day=0)
    refused(submit(team, seconds=1))


def test_the_last_place_is_given_once(team: Team) -> None:
    set_share(team, max_queued_jobs=3)
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(submit(team).status_code)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [202] * 3 + [429] * 5


def test_a_machine_of_one_s_own_has_no_shares(desk: Desk) -> None:
    deploy(desk, quota_queued_jobs=0)
    assert desk.submit()["status"] == "queued"


def test_no_id_that_was_drawn_since_is_smaller() -> None:
    before = dt.datetime.now(dt.UTC) - dt.timedelta(milliseconds=1)
    drawn = new_id()
    after = dt.datetime.now(dt.UTC) + dt.timedelta(milliseconds=2)
    assert _earliest_id(before) <= drawn < _earliest_id(after)
    assert uuid.UUID(int=0) < _earliest_id(before)
