"""People and keys over HTTP."""

from typing import Any

import pytest

from tests.studios import Desk
from tests.users.people import Person, add_person_with_key


@pytest.fixture(name="eve")
def add_eve(desk: Desk) -> Person:
    return add_person_with_key(desk.studio, "Eve", role="admin").at(desk)


@pytest.fixture(name="ada")
def add_ada(desk: Desk) -> Person:
    return add_person_with_key(desk.studio, "Ada").at(desk)


def told(person: Person, method: str, path: str, *, status: int = 200, **request: Any) -> Any:  # noqa: ANN401  # JSON
    answer = person.ask(method, path, **request)
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


def test_an_admin_adds_somebody_and_gives_them_a_key(desk: Desk, eve: Person) -> None:
    answer = eve.ask("POST", "/users", json={"name": "Bob", "role": "rater", "max_queued_jobs": 3})
    bob = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, f"/users/{bob['id']}")
    assert (bob["name"], bob["role"], bob["is_active"], bob["max_queued_jobs"]) == ("Bob", "rater", True, 3)
    assert told(eve, "GET", f"/users/{bob['id']}") == bob
    made = eve.ask("POST", "/keys", json={"name": "phone", "user_id": bob["id"]})
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    key = made.json()
    headers = {"Authorization": f"Bearer {key['key']}"}
    assert desk.client.get("/session", headers=headers).json()["user"] == bob
    listed = told(eve, "GET", "/keys", params={"user_id": bob["id"]})["items"]
    assert listed == [
        {name: value for name, value in key.items() if name != "key"}
        | {"last_used_at": listed[0]["last_used_at"]}
    ]
    assert told(eve, "DELETE", f"/keys/{key['id']}", status=204) is None
    assert desk.client.get("/session", headers=headers).status_code == 401


def test_people_are_listed_and_changed(eve: Person, ada: Person) -> None:
    listed = told(eve, "GET", "/users")["items"]
    assert [user["name"] for user in listed] == ["Ada", "Eve"]
    changed = told(eve, "PATCH", f"/users/{ada.id}", json={"role": "rater", "max_storage_bytes": 10**12})
    assert (changed["role"], changed["max_storage_bytes"]) == ("rater", 10**12)
    assert told(ada, "GET", "/session")["permissions"] == ["rate", "read"]  # it holds at once
    gone = told(eve, "PATCH", f"/users/{ada.id}", json={"is_active": False})
    assert (gone["is_active"], gone["deactivated_at"]) == (False, "2026-01-01T12:00:00Z")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/users", {}, "name"),
        ("/users", {"name": " "}, "name"),
        ("/users", {"name": "a\x07b"}, "name"),
        ("/users", {"name": "x" * 101}, "name"),
        ("/users", {"name": "Bob", "role": "king"}, "role"),
        ("/users", {"name": "Bob", "max_queued_jobs": -1}, "max_queued_jobs"),
        ("/users", {"name": "Bob", "max_storage_bytes": 10**16}, "max_storage_bytes"),
        ("/users", {"name": "Bob", "is_admin": True}, "is_admin"),
        ("/keys", {}, "name"),
        ("/keys", {"name": "a", "scopes": []}, "scopes"),
        ("/keys", {"name": "a", "scopes": ["fly"]}, "scopes.0"),
        ("/keys", {"name": "a", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ("/keys", {"name": "a", "expires_at": "2027-01-01T00:00:00"}, "expires_at"),
        ("/keys", {"name": "a", "key": "t2s_mine"}, "key"),
    ],
)
def test_what_cannot_be_is_refused_with_its_field(
    eve: Person, path: str, body: dict[str, Any], field: str
) -> None:
    refused = told(eve, "POST", path, json=body, status=422)
    assert refused["field"] == field


def test_a_taken_name_is_a_conflict(eve: Person, ada: Person) -> None:
    del ada
    assert told(eve, "POST", "/users", json={"name": "Ada"}, status=409)["field"] == "name"


def test_a_person_sees_and_revokes_their_own_keys_alone(eve: Person, ada: Person) -> None:
    hers = told(ada, "GET", "/keys")["items"]
    assert {key["user_id"] for key in hers} == {str(ada.id)}
    assert told(ada, "GET", "/keys", params={"user_id": str(ada.id)})["items"][0]["id"] == hers[0]["id"]
    assert told(ada, "GET", "/keys", params={"user_id": str(eve.id)}, status=403)["code"] == "forbidden"
    eves = told(eve, "GET", "/keys")["items"][0]
    assert told(ada, "DELETE", f"/keys/{eves['id']}", status=404)["code"] == "not_found"
    made = told(ada, "POST", "/keys", json={"name": "second", "scopes": ["read"]}, status=201)
    assert told(ada, "DELETE", f"/keys/{made['id']}", status=204) is None
    assert [key["revoked_at"] is None for key in told(ada, "GET", "/keys")["items"]] == [False, True]


def test_without_users_a_key_says_whose_it_is_to_be(desk: Desk) -> None:
    refused = desk.client.post("/keys", json={"name": "a"})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert "text2song user add" in refused.json()["detail"]
    made = desk.client.post("/users", json={"name": "Eve", "role": "admin"})
    assert made.status_code == 201
    assert desk.client.post("/keys", json={"name": "a"}).status_code == 201  # now it must be hers
