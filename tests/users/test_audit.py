"""What was done to other people's things stands in the audit, and what one does to one's own does not."""

import pytest

from tests.studios import Desk
from tests.users.people import Person, add_person_with_key
from text2song.users import audit
from text2song.users.tables import AuditEntry


@pytest.fixture(name="people")
def make_people(desk: Desk) -> tuple[Person, Person]:
    eve = add_person_with_key(desk.studio, "Eve", role="admin").at(desk)
    return eve, add_person_with_key(desk.studio, "Ada").at(desk)


def entries(desk: Desk) -> list[AuditEntry]:
    with desk.studio.read() as reader:
        return audit.find(reader, subject_id=None, cursor=None, limit=200).rows


def deeds(desk: Desk) -> list[AuditEntry]:
    """What was done to things, not to people."""
    return [entry for entry in entries(desk) if not entry.act.startswith(("user.", "key."))]


def test_what_an_admin_does_to_another_s_things_is_noted(desk: Desk, people: tuple[Person, Person]) -> None:
    eve, ada = people
    job = ada.ask("POST", "/generate", json={"prompt": {"text": "a private thought"}}).json()
    prompt = f"/prompts/{job['prompt_id']}"
    assert eve.ask("PATCH", prompt, json={"visibility": "shared"}).status_code == 200
    assert eve.ask("PATCH", prompt, json={"visibility": "shared"}).status_code == 200  # changes nothing more
    assert eve.ask("DELETE", f"/generate/{job['id']}").status_code == 200
    assert eve.ask("DELETE", f"/generate/{job['id']}").status_code == 200  # it was over already
    assert eve.ask("POST", f"/generate/{job['id']}/retry").status_code == 202  # and Ada's share pays for it
    assert eve.ask("DELETE", prompt).status_code == 204
    noted = [(entry.act, entry.actor_id, entry.details) for entry in reversed(deeds(desk))]
    owner = {"owner": str(ada.id)}
    assert noted == [
        ("prompt.shared", eve.id, owner),
        ("generation.cancel", eve.id, owner),
        ("generation.retry", eve.id, owner),
        ("prompt.delete", eve.id, owner),
    ]
    assert "private thought" not in str(noted)


def test_what_one_does_to_one_s_own_is_one_s_own_matter(desk: Desk, people: tuple[Person, Person]) -> None:
    for person in people:
        job = person.ask("POST", "/generate", json={"prompt": {"text": "a"}}).json()
        person.ask("PATCH", f"/prompts/{job['prompt_id']}", json={"visibility": "shared"})
        person.ask("DELETE", f"/generate/{job['id']}")
        assert person.ask("DELETE", f"/prompts/{job['prompt_id']}").status_code == 204
    assert deeds(desk) == []


def test_on_one_s_own_machine_nothing_is_noted(desk: Desk) -> None:
    job = desk.submit()
    assert desk.client.delete(f"/generate/{job['id']}").status_code == 200
    assert desk.client.delete(f"/prompts/{job['prompt_id']}").status_code == 204
    assert entries(desk) == []


def test_admins_read_it_in_pages_and_by_subject(people: tuple[Person, Person]) -> None:
    eve, ada = people
    eve.ask("PATCH", f"/users/{ada.id}", json={"is_expert": True})
    first = eve.ask("GET", "/audit", params={"limit": 1}).json()
    assert [entry["act"] for entry in first["items"]] == ["user.change"]
    second = eve.ask("GET", "/audit", params={"limit": 1, "cursor": first["next_cursor"]}).json()
    assert second["items"][0]["act"] == "key.create"
    about_ada = eve.ask("GET", "/audit", params={"subject_id": str(ada.id)}).json()["items"]
    assert [entry["act"] for entry in about_ada] == ["user.change", "user.create"]
    assert about_ada[0]["details"] == {"is_expert": [False, True]}
    assert (about_ada[0]["actor_id"], about_ada[0]["subject_kind"]) == (str(eve.id), "user")
