"""What others made or wait for stays when a prompt goes; what is no longer kept goes without a word."""

import pytest

from tests.api.team import Team, gather
from tests.audio.samples import make_sample
from tests.studios import Desk
from text2song.generation import deletion
from text2song.users import audit

pytestmark = pytest.mark.databases("sqlite", "postgresql")


@pytest.fixture(name="team")
def make_team(desk: Desk) -> Team:
    return gather(desk)


@pytest.mark.parametrize("is_still_shared", [True, False])
@pytest.mark.parametrize("who", ["owner", "admin"])
def test_a_prompt_stays_that_others_asked_for_takes_of(
    team: Team, who: str, *, is_still_shared: bool
) -> None:
    prompt = team.shared_prompt()
    theirs = team.ask("other", "POST", "/generate", json={"prompt_id": prompt}).json()["id"]
    if not is_still_shared:
        team.owner.ask("PATCH", f"/prompts/{prompt}", json={"visibility": "private"})
    refused = team.ask(who, "DELETE", f"/prompts/{prompt}")
    assert (refused.status_code, refused.json()["code"]) == (409, "in_use")
    assert "PATCH it to be private" in refused.json()["detail"]
    assert team.ask("other", "GET", f"/generate/{theirs}").json()["status"] == "queued"


@pytest.mark.parametrize("who", ["owner", "admin"])
def test_ones_own_jobs_go_with_the_prompt(team: Team, who: str) -> None:
    prompt = team.shared_prompt()
    jobs = [
        team.ask(asker, "POST", "/generate", json={"prompt_id": prompt}).json()["id"]
        for asker in sorted({"owner", who})
    ]
    assert team.ask(who, "DELETE", f"/prompts/{prompt}").status_code == 204
    for job in jobs:
        assert team.owner.ask("GET", f"/generate/{job}").status_code == 404


def test_the_audit_tells_of_deletions_and_not_of_what_is_no_longer_kept(desk: Desk) -> None:
    kept, deleted = make_sample(desk.studio), make_sample(desk.studio, seed=1)
    person = gather(desk).owner
    with desk.studio.work() as work:
        for sample in (kept, deleted):
            work.session.merge(sample).user_id = person.id
    with desk.studio.work() as work:
        deletion.retire_sample(work, kept.id)
        deletion.delete_sample(work, deleted.id)
    with desk.studio.read() as reader:
        entries = audit.find(reader, subject_id=None, cursor=None, limit=200).rows
    assert [entry.subject_id for entry in entries if entry.act == "audio.delete"] == [deleted.id]
