"""Signing a browser in and out: the cookie and its flags, the token, and what is not told."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.cookies import Morsel, SimpleCookie
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient

from tests.studios import Clock
from tests.users.people import Person, add_key, add_person_with_key
from text2song.api.limits import WRONG_KEYS_A_MINUTE
from text2song.api.login import CSRF_HEADER, SESSION_COOKIE
from text2song.api.main import build_api
from text2song.studio import Studio
from text2song.users import sessions
from text2song.users.tables import LoginSession

SITE = "https://studio.example"


@contextmanager
def browser(
    studio: Studio, *, scheme: str = "http", peer: str = "testclient", **settings: object
) -> Iterator[TestClient]:
    changed = replace(studio, settings=studio.settings.model_copy(update=settings))
    base = f"{scheme}://127.0.0.1:8000"
    with TestClient(build_api(changed), base_url=base, client=(peer, 50_000)) as client:
        yield client


@pytest.fixture(name="client")
def open_browser(studio: Studio) -> Iterator[TestClient]:
    with browser(studio) as client:
        yield client


@pytest.fixture(name="team")
def make_team(studio: Studio) -> tuple[Person, Person]:
    return add_person_with_key(studio, "Ada", role="admin"), add_person_with_key(studio, "Bob", role="rater")


def cookie_of(answer: httpx2.Response) -> "Morsel[str]":
    jar: SimpleCookie = SimpleCookie(answer.headers["set-cookie"])
    assert list(jar) == [SESSION_COOKIE]
    return jar[SESSION_COOKIE]


def sign_in(client: TestClient, person: Person, *, headers: dict[str, str] | None = None) -> httpx2.Response:
    answer = client.post("/session", json={"key": person.key}, headers=headers or {})
    assert answer.status_code == 200, answer.text
    return answer


def test_a_browser_is_signed_in_and_out(client: TestClient, team: tuple[Person, Person]) -> None:
    told = sign_in(client, team[1]).json()
    assert (told["user"]["name"], told["user"]["role"]) == ("Bob", "rater")
    assert told["permissions"] == ["rate", "read"]
    assert told["is_login_required"] is True
    assert client.get("/session").json() == told
    gone = client.delete("/session", headers={CSRF_HEADER: told["csrf_token"]})
    assert gone.status_code == 204
    cleared = cookie_of(gone)
    assert (cleared.value, cleared["max-age"]) == ("", "0")
    assert client.get("/session").status_code == 401


def test_signing_out_ends_the_session_also_for_whoever_kept_the_cookie(
    client: TestClient, team: tuple[Person, Person]
) -> None:
    signed_in = sign_in(client, team[0])
    kept = cookie_of(signed_in).value
    client.delete("/session", headers={CSRF_HEADER: signed_in.json()["csrf_token"]})
    assert client.get("/prompts", headers={"Cookie": f"{SESSION_COOKIE}={kept}"}).status_code == 401
    with_key = {"Authorization": f"Bearer {team[0].key}"}
    assert client.get("/prompts", headers=with_key).status_code == 200  # the key is as good as before
    assert client.delete("/session", headers=with_key).status_code == 204


@pytest.mark.parametrize(
    ("scheme", "deployed", "fetch_site", "secure", "same_site"),
    [
        ("http", {}, "same-origin", False, "strict"),
        ("http", {}, "", False, "strict"),
        ("https", {}, "same-origin", True, "strict"),
        ("http", {"web_origin": (SITE,)}, "same-origin", True, "strict"),  # behind a proxy that ends TLS
        ("http", {"web_origin": (SITE,)}, "same-site", True, "strict"),
        ("http", {"web_origin": (SITE,)}, "cross-site", True, "none"),
        ("http", {"web_origin": ("http://localhost:3000",)}, "same-site", False, "strict"),
        ("http", {"web_origin": ("http://studio.example",)}, "cross-site", True, "none"),
    ],
)
def test_the_flags_of_the_cookie(
    studio: Studio,
    team: tuple[Person, Person],
    scheme: str,
    deployed: dict[str, Any],
    fetch_site: str,
    *,
    secure: bool,
    same_site: str,
) -> None:
    with browser(studio, scheme=scheme, **deployed) as client:
        origin = deployed.get("web_origin", (f"{scheme}://127.0.0.1:8000",))[0]
        page = {"Origin": origin, "Sec-Fetch-Site": fetch_site} if fetch_site else {}
        answer = sign_in(client, team[0], headers=page)
        cookie = cookie_of(answer)
        assert (cookie["httponly"], bool(cookie["secure"]), cookie["samesite"].lower()) == (
            True,
            secure,
            same_site,
        )
        assert (cookie["path"], cookie["domain"]) == ("/", "")
        assert cookie["max-age"] == str(int(sessions.LIFETIME.total_seconds()))
        assert answer.headers["cache-control"] == "no-store"
        token = {CSRF_HEADER: answer.json()["csrf_token"], "Cookie": f"{SESSION_COOKIE}={cookie.value}"}
        gone = cookie_of(client.delete("/session", headers=page | token))
        assert (bool(gone["secure"]), gone["samesite"].lower()) == (secure, same_site)


def test_space_around_a_key_that_was_pasted_is_no_matter(
    client: TestClient, team: tuple[Person, Person]
) -> None:
    assert client.post("/session", json={"key": f" {team[0].key}\n"}).status_code == 200


def test_a_wrong_key_signs_nobody_in_and_comes_back_nowhere(
    client: TestClient, team: tuple[Person, Person]
) -> None:
    for key in ("t2s_wrong", team[0].key + "A", " ", "\u00e4", "x" * 200):
        answer = client.post("/session", json={"key": key})
        assert (answer.status_code, answer.json()["code"]) == (401, "not_logged_in")
        assert "set-cookie" not in answer.headers
        assert key.strip() == "" or key not in answer.text
    for body in ({}, {"key": ""}, {"key": 7}, {"key": "x" * 201}, {"key": team[0].key, "name": "a"}):
        answer = client.post("/session", json=body)
        assert answer.status_code == 422
        assert team[0].key not in answer.text


def test_who_tries_too_often_is_sent_away_even_with_the_right_key(
    client: TestClient, clock: Clock, team: tuple[Person, Person]
) -> None:
    for _ in range(WRONG_KEYS_A_MINUTE):
        assert client.post("/session", json={"key": "t2s_wrong"}).status_code == 401
    refused = client.post("/session", json={"key": team[0].key})
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
    assert int(refused.headers["retry-after"]) == 60
    clock.advance(60)
    sign_in(client, team[0])


@pytest.mark.parametrize("proxy", ["127.0.0.1", "172.18.0.5", "::ffff:10.1.2.3", "fd00::7"])
def test_behind_a_proxy_a_stranger_keeps_nobody_else_from_signing_in(
    studio: Studio, team: tuple[Person, Person], proxy: str
) -> None:
    with browser(studio, peer=proxy) as client:
        stranger, ada = {"X-Forwarded-For": "198.51.100.9"}, {"X-Forwarded-For": "10.9.9.9, 203.0.113.7"}
        for _ in range(WRONG_KEYS_A_MINUTE):
            client.post("/session", json={"key": "t2s_wrong"}, headers=stranger)
        assert client.post("/session", json={"key": team[0].key}, headers=stranger).status_code == 429
        sign_in(client, team[0], headers=ada)


def test_a_stranger_who_comes_directly_is_counted_whatever_is_claimed(
    studio: Studio, team: tuple[Person, Person]
) -> None:
    with browser(studio, peer="198.51.100.9") as client:
        for last in range(WRONG_KEYS_A_MINUTE):
            claim = {"X-Forwarded-For": f"203.0.113.{last}"}
            assert client.post("/session", json={"key": "t2s_wrong"}, headers=claim).status_code == 401
        assert client.post("/session", json={"key": team[0].key}).status_code == 429


def test_a_stranger_s_page_signs_nobody_in(client: TestClient, team: tuple[Person, Person]) -> None:
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    answer = client.post("/session", json={"key": team[0].key}, headers=foreign)
    assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")
    form = client.post(
        "/session", content=f'{{"key": "{team[0].key}"}}', headers={"Content-Type": "text/plain"}
    )
    assert form.status_code == 415


def test_a_session_is_as_narrow_as_its_key(
    client: TestClient, studio: Studio, team: tuple[Person, Person]
) -> None:
    key = add_key(studio, team[0].actor, scopes=["read"])
    told = client.post("/session", json={"key": key}).json()
    assert told["permissions"] == ["read"]
    assert client.get("/users").status_code == 403


def test_on_one_s_own_machine_there_is_nothing_to_sign_in_for(client: TestClient, studio: Studio) -> None:
    assert client.get("/session").json() == {
        "user": None,
        "permissions": ["admin", "create", "rate", "read"],
        "csrf_token": None,
        "is_login_required": False,
    }
    ada = add_person_with_key(studio, "Ada", role="rater")
    told = client.get("/session").json()
    assert (told["user"]["name"], told["is_login_required"]) == ("Ada", False)
    assert "admin" in told["permissions"]  # she has the machine
    assert sign_in(client, ada).json()["is_login_required"] is False
    assert client.delete("/session").status_code == 403  # a cookie is a cookie: not without its token


def test_a_session_s_row_knows_the_key_that_began_it(
    client: TestClient, studio: Studio, team: tuple[Person, Person]
) -> None:
    sign_in(client, team[0])
    with studio.read() as reader:
        (row,) = reader.session.query(LoginSession).all()
        assert row.user_id == team[0].id
        assert row.key_id is not None
