"""Who is asked to log in, and what counts as having done so."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from tests.studios import Clock, Desk
from tests.users.people import Person, add_key, add_person_with_key
from text2song.api.limits import WRONG_KEYS_A_MINUTE
from text2song.api.login import CSRF_HEADER, SESSION_COOKIE
from text2song.api.main import build_api
from text2song.studio import Studio
from text2song.users import service
from text2song.users.schemas import UserPatch

PROXY = {"X-Forwarded-For": "203.0.113.7"}


@contextmanager
def serving(
    studio: Studio, *, is_public: bool = False, peer: str = "127.0.0.1", **settings: object
) -> Iterator[TestClient]:
    changed = replace(studio, settings=studio.settings.model_copy(update=settings))
    app = build_api(changed, is_public=is_public)
    with TestClient(app, base_url="http://127.0.0.1:8000", client=(peer, 50_000)) as client:
        yield client


@pytest.fixture(name="client")
def make_client(studio: Studio) -> Iterator[TestClient]:
    with serving(studio) as client:
        yield client


def status(client: TestClient, *, headers: dict[str, str] | None = None) -> int:
    return client.get("/prompts", headers=headers or {}).status_code


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "testclient"])
def test_a_machine_of_one_s_own_asks_nothing_with_nobody_and_with_one(studio: Studio, peer: str) -> None:
    with serving(studio, peer=peer) as client:
        assert client.post("/prompts", json={"text": "a"}).json()["user_id"] is None
        rae = add_person_with_key(studio, "Rae", role="rater")
        assert client.post("/prompts", json={"text": "b"}).json()["user_id"] == str(rae.id)
        listed = client.get("/prompts").json()["items"]
        assert [prompt["text"] for prompt in listed] == ["b", "a"]  # also what was nobody's


def test_with_two_people_everybody_is_asked(client: TestClient, studio: Studio) -> None:
    add_person_with_key(studio, "Ada", role="admin")
    bob = add_person_with_key(studio, "Bob")
    refused = client.get("/prompts")
    assert (refused.status_code, refused.json()["code"]) == (401, "not_logged_in")
    assert refused.headers["www-authenticate"] == "Bearer"
    assert "Authorization: Bearer t2s_" in refused.json()["detail"]
    assert status(client, headers=bearer(bob.key)) == 200
    with studio.work() as work:
        service.change(work, bob.id, UserPatch(is_active=False))
    assert status(client) == 200  # only Ada is left


def test_elsewhere_than_on_loopback_everybody_is_asked(studio: Studio) -> None:
    with serving(studio, is_public=True) as client:
        assert status(client) == 401
        ada = add_person_with_key(studio, "Ada")
        assert status(client) == 401
        assert status(client, headers=bearer(ada.key)) == 200


@pytest.mark.parametrize(
    "peer", ["192.168.0.7", "203.0.113.7", "2001:db8::1", "::ffff:192.168.0.7", "fe80::1%eth0"]
)
def test_a_connection_from_another_machine_is_asked_whatever_the_server_believes(
    studio: Studio, peer: str
) -> None:
    with serving(studio, peer=peer) as client:
        assert status(client) == 401


def test_what_came_through_a_proxy_is_asked_also_on_loopback(client: TestClient, studio: Studio) -> None:
    assert client.get("/prompts", headers=PROXY).json()["code"] == "proxy_refused"
    ada = add_person_with_key(studio, "Ada")
    assert client.get("/prompts", headers=PROXY).json()["code"] == "not_logged_in"
    assert status(client, headers=PROXY | bearer(ada.key)) == 200
    assert status(client) == 200


def test_a_proxy_that_says_nothing_of_itself_can_be_provided_for(studio: Studio) -> None:
    ada = add_person_with_key(studio, "Ada")
    with serving(studio, require_login=True) as client:
        assert status(client) == 401
        assert status(client, headers=bearer(ada.key)) == 200


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic YWRhOmFkYQ==", "t2s_abc", "Bearer t2s_abc", "Bearer \u00e4"]
)
def test_what_is_sent_as_a_key_must_be_one_also_where_none_is_asked(client: TestClient, header: str) -> None:
    assert client.get("/prompts").status_code == 200
    refused = client.get("/prompts", headers=[(b"Authorization", header.encode("latin-1"))])
    assert (refused.status_code, refused.json()["code"]) == (401, "not_logged_in")


def test_two_keys_are_one_too_many(client: TestClient, studio: Studio) -> None:
    ada = add_person_with_key(studio, "Ada")
    headers = [("Authorization", f"Bearer {ada.key}")] * 2
    assert client.get("/prompts", headers=headers).status_code == 401


def test_a_key_may_stand_after_any_bearer(client: TestClient, studio: Studio) -> None:
    ada = add_person_with_key(studio, "Ada")
    assert status(client, headers={"Authorization": f"bearer   {ada.key} "}) == 200


def test_a_key_is_told_when_it_was_last_used(client: TestClient, studio: Studio, clock: Clock) -> None:
    ada = add_person_with_key(studio, "Ada")
    assert client.get("/keys").json()["items"][0]["last_used_at"] is None
    clock.advance(5)
    client.get("/prompts", headers=bearer(ada.key))
    assert client.get("/keys").json()["items"][0]["last_used_at"] == "2026-01-01T12:00:05Z"


@pytest.fixture(name="team")
def make_team(studio: Studio) -> tuple[Person, Person]:
    return add_person_with_key(studio, "Ada", role="admin"), add_person_with_key(studio, "Bob")


def sign_in(client: TestClient, key: str) -> str:
    """The CSRF token; the client keeps the cookie."""
    answer = client.post("/session", json={"key": key})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["csrf_token"])


def test_a_cookie_reads_and_with_the_token_writes(client: TestClient, team: tuple[Person, Person]) -> None:
    token = sign_in(client, team[1].key)
    assert status(client) == 200
    for headers in ({}, {CSRF_HEADER: ""}, {CSRF_HEADER: token[:-1]}, {CSRF_HEADER: "\u00e4"}):
        for method, path in (("POST", "/prompts"), ("DELETE", "/session"), ("PATCH", "/prompts/1")):
            sent = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
            refused = client.request(method, path, json={"text": "a"}, headers=sent)
            assert refused.status_code in {403, 422}, (method, path)
            if method != "PATCH":
                assert refused.json()["code"] == "csrf_failed"
    assert client.get("/prompts").json()["items"] == []
    written = client.post("/prompts", json={"text": "a"}, headers={CSRF_HEADER: token})
    assert (written.status_code, written.json()["user_id"]) == (201, str(team[1].id))


def test_another_session_s_token_is_none(studio: Studio, team: tuple[Person, Person]) -> None:
    with serving(studio) as first, serving(studio) as second:
        sign_in(first, team[0].key)
        other = sign_in(second, team[1].key)
        refused = first.post("/prompts", json={"text": "a"}, headers={CSRF_HEADER: other})
        assert (refused.status_code, refused.json()["code"]) == (403, "csrf_failed")


def test_a_key_needs_no_token_and_wins_over_a_cookie(client: TestClient, team: tuple[Person, Person]) -> None:
    sign_in(client, team[1].key)
    written = client.post("/prompts", json={"text": "a"}, headers=bearer(team[0].key))
    assert (written.status_code, written.json()["user_id"]) == (201, str(team[0].id))


def test_a_stale_cookie_is_asked_to_sign_in_again_but_not_where_nobody_is(
    client: TestClient, studio: Studio, team: tuple[Person, Person]
) -> None:
    client.cookies.set(SESSION_COOKIE, "stale")
    refused = client.get("/prompts")
    assert (refused.status_code, refused.json()["code"]) == (401, "not_logged_in")
    assert "sign in again" in refused.json()["detail"]
    with studio.work() as work:
        service.change(work, team[1].id, UserPatch(is_active=False))
    assert status(client) == 200
    assert client.post("/prompts", json={"text": "a"}).status_code == 201


def test_a_poll_that_waits_is_asked_again_when_it_answers(desk: Desk) -> None:
    ada = add_person_with_key(desk.studio, "Ada", role="admin").at(desk)
    bob = add_person_with_key(desk.studio, "Bob").at(desk)
    job = bob.ask("POST", "/generate", json={"prompt": {"text": "a"}}).json()
    path = f"/generate/{job['id']}"
    assert bob.ask("GET", path, params={"wait": 0.1, "since": job["sequence"]}).status_code == 200

    watcher = desk.client.app.state.generation_watcher  # type: ignore[attr-defined]
    changed = watcher.changed

    async def deactivate_meanwhile(*arguments: object, **named: object) -> object:
        with desk.studio.work() as work:
            service.change(work, bob.id, UserPatch(is_active=False))
        return await changed(*arguments, **named)

    add_person_with_key(desk.studio, "Cid")
    watcher.changed = deactivate_meanwhile
    refused = bob.ask("GET", path, params={"wait": 0.1, "since": job["sequence"]})
    watcher.changed = changed
    assert (refused.status_code, refused.json()["code"]) == (401, "not_logged_in")
    assert ada.ask("GET", path).status_code == 200


def test_each_person_has_so_many_requests_a_minute(
    studio: Studio, clock: Clock, team: tuple[Person, Person]
) -> None:
    ada, bob = team
    with serving(studio, rate_limit=3) as client:
        sign_in(client, ada.key)
        client.cookies.clear()
        answers = [status(client, headers=bearer(ada.key)) for _ in range(4)]
        assert answers == [200, 200, 429, 429]  # signing in was the first
        limited = client.get(
            "/prompts", headers=bearer(add_key(studio, ada.actor))
        )  # another key is no way out
        assert (limited.status_code, limited.json()["code"]) == (429, "too_many_requests")
        assert limited.headers["retry-after"] == "60"
        assert status(client, headers=bearer(bob.key)) == 200
        clock.advance(60)
        assert status(client, headers=bearer(ada.key)) == 200


def test_a_request_counts_once_however_many_units_it_opens(
    studio: Studio, team: tuple[Person, Person]
) -> None:
    with serving(studio, rate_limit=1) as client:
        absent = "/generate/0198c0de-0000-7000-8000-000000000000?wait=1"
        assert client.get(absent, headers=bearer(team[0].key)).status_code == 404
        assert status(client, headers=bearer(team[0].key)) == 429


def test_signing_in_counts_too(studio: Studio, team: tuple[Person, Person]) -> None:
    with serving(studio, rate_limit=2) as client:
        answers = [client.post("/session", json={"key": team[0].key}).status_code for _ in range(3)]
    assert answers == [200, 200, 429]


def test_one_s_own_machine_has_no_limit(studio: Studio) -> None:
    with serving(studio, rate_limit=1) as client:
        assert [status(client) for _ in range(3)] == [200, 200, 200]


def test_wrong_keys_are_answered_so_many_times_and_good_ones_always(
    studio: Studio, clock: Clock, team: tuple[Person, Person]
) -> None:
    with serving(studio) as client:
        wrong = bearer("t2s_" + "A" * 43)
        answers = [status(client, headers=wrong) for _ in range(WRONG_KEYS_A_MINUTE + 1)]
        assert answers == [401] * WRONG_KEYS_A_MINUTE + [429]
        assert status(client, headers=bearer(team[0].key)) == 200
        with serving(studio, peer="127.0.0.2") as other:
            assert status(other, headers=wrong) == 401
        clock.advance(60)
        assert status(client, headers=wrong) == 401


def test_behind_a_proxy_each_client_is_counted_by_itself(studio: Studio, team: tuple[Person, Person]) -> None:
    del team
    with serving(studio) as client:
        for last in range(WRONG_KEYS_A_MINUTE + 5):
            headers = bearer("t2s_wrong") | {"X-Forwarded-For": f"10.0.0.1, 203.0.113.{last}"}
            assert status(client, headers=headers) == 401
        by_a_header_of_its_own = [
            [
                ("Authorization", "Bearer t2s_wrong"),
                ("X-Forwarded-For", f"10.0.0.{last}"),
                ("X-Forwarded-For", "198.51.100.1"),
            ]
            for last in range(WRONG_KEYS_A_MINUTE + 1)
        ]
        answers = [client.get("/prompts", headers=each).status_code for each in by_a_header_of_its_own]
        assert answers == [401] * WRONG_KEYS_A_MINUTE + [429]
    with serving(studio, peer="198.51.100.9") as afar:  # no proxy of ours: what it says counts for nothing
        forged = [
            status(afar, headers=bearer("t2s_wrong") | {"X-Forwarded-For": f"203.0.113.{last}"})
            for last in range(WRONG_KEYS_A_MINUTE + 1)
        ]
        assert forged[-1] == 429
