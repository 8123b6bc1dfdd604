"""Signing in by way of a real OpenID Connect provider, an honest one and a lying one."""

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from tests.api.openid_provider import CLIENT_SECRET, OpenIdProvider, key_named, serving, with_provider
from tests.servers import free_port
from tests.studios import Clock
from tests.users.people import add_person
from text2song.api.login import CSRF_HEADER, SESSION_COOKIE
from text2song.api.main import build_api
from text2song.api.provider import ANSWER_SECONDS, KEEP_SECONDS, PAUSE_SECONDS
from text2song.api.provider_session import ATTEMPT_COOKIE
from text2song.studio import Studio
from text2song.users import identities, service
from text2song.users.schemas import UserPatch
from text2song.users.tables import LoginSession, User

BEGIN = "/session/oidc"


@pytest.fixture(name="provider")
def run_provider(clock: Clock) -> Iterator[OpenIdProvider]:
    with serving(OpenIdProvider(clock)) as provider:
        yield provider


@pytest.fixture(name="client")
def open_browser(studio: Studio, provider: OpenIdProvider) -> Iterator[TestClient]:
    with new_browser(with_provider(studio, provider)) as client:
        yield client


def new_browser(studio: Studio) -> TestClient:
    return TestClient(build_api(studio), base_url="http://127.0.0.1:8000", follow_redirects=False)


def go(client: TestClient) -> str:
    """To the provider and as far as to the way back, which is answered."""
    begun = client.get(BEGIN)
    assert begun.status_code == 303, begun.text
    sent_back = httpx2.get(begun.headers["location"], trust_env=False)
    assert sent_back.status_code == 303
    return str(sent_back.headers["location"]).removeprefix("http://127.0.0.1:8000")


def sign_in(client: TestClient) -> dict[str, Any]:
    answer = client.get(go(client))
    assert answer.status_code == 303, answer.text
    told: dict[str, Any] = client.get("/session").json()
    return told


def number_of(studio: Studio, table: type[User | LoginSession]) -> int:
    with studio.read() as reader:
        return reader.session.scalar(select(func.count()).select_from(table)) or 0


def test_whoever_the_provider_knows_gets_a_session_that_reads_and_writes(client: TestClient) -> None:
    assert client.get("/prompts").status_code == 401
    back = client.get(go(client))
    assert (back.status_code, back.headers["location"]) == (303, "/")
    told = client.get("/session").json()
    assert (told["user"]["name"], told["user"]["role"]) == ("Ada", "creator")
    assert client.post("/prompts", json={"text": "a"}).status_code == 403
    headers = {CSRF_HEADER: told["csrf_token"]}
    assert client.post("/prompts", json={"text": "a"}, headers=headers).status_code == 201
    assert client.delete("/session", headers=headers).status_code == 204
    assert client.get("/prompts").status_code == 401


def test_the_cookies_are_for_this_server_alone_and_the_one_of_the_attempt_goes(client: TestClient) -> None:
    begun = client.get(BEGIN)
    assert "HttpOnly" in begun.headers["set-cookie"]
    assert "SameSite=lax" in begun.headers["set-cookie"]
    assert f"Path={BEGIN}" in begun.headers["set-cookie"]
    assert begun.headers["cache-control"] == "no-store"
    set_now = client.get(go(client)).headers.get_list("set-cookie")
    session, attempt = sorted(set_now, key=lambda line: line.startswith(ATTEMPT_COOKIE))
    assert session.startswith(SESSION_COOKIE)
    assert "HttpOnly" in session
    assert "SameSite=strict" in session
    assert "Max-Age=0" in attempt


def test_a_public_address_makes_the_cookies_secure(studio: Studio, provider: OpenIdProvider) -> None:
    provider.redirect_url = "https://127.0.0.1:8000/session/oidc/callback"
    with new_browser(with_provider(studio, provider)) as client:
        assert "Secure" in client.get(BEGIN).headers["set-cookie"]


def test_the_same_person_is_the_same_user_with_the_role_that_the_provider_says_now(
    client: TestClient, studio: Studio, provider: OpenIdProvider
) -> None:
    first = sign_in(client)
    provider.person |= {"name": "Ada Byron", "groups": ["guests", "leads"]}
    second = sign_in(client)
    assert second["user"]["id"] == first["user"]["id"]
    assert (second["user"]["name"], second["user"]["role"]) == ("Ada", "admin")
    assert number_of(studio, User) == 1
    acts = [entry["act"] for entry in client.get("/audit").json()["items"]]
    assert acts == ["user.follow", "user.change", "user.link", "user.create"]


def test_the_only_admin_stays_one_whatever_the_provider_says(
    client: TestClient, provider: OpenIdProvider
) -> None:
    provider.person["groups"] = ["leads"]
    assert sign_in(client)["user"]["role"] == "admin"
    provider.person["groups"] = ["guests"]
    assert sign_in(client)["user"]["role"] == "admin"


def test_a_name_that_somebody_has_makes_nobody_somebody_else(
    client: TestClient, studio: Studio, provider: OpenIdProvider
) -> None:
    eve = add_person(studio, "Eve", role="admin")
    provider.person |= {"name": "Eve", "email": "eve@example.org", "email_verified": True}
    told = sign_in(client)
    assert told["user"]["id"] != str(eve.user_id)
    assert told["user"]["name"].startswith("Eve (")
    assert told["user"]["role"] == "creator"


@pytest.mark.parametrize("name", ["", " \n\t ", "\x00\u202e", "x" * 500, "\u3164", "\ufdfa" * 9, 7, None])
def test_a_strange_name_keeps_nobody_out(client: TestClient, provider: OpenIdProvider, name: object) -> None:
    provider.person["name"] = name
    assert 0 < len(sign_in(client)["user"]["name"]) <= 100


@pytest.mark.parametrize("groups", [[], ["strangers"], "strangers", None, [["band"]], {"band": 1}])
def test_whoever_is_in_no_group_of_the_settings_is_not_let_in(
    client: TestClient, studio: Studio, provider: OpenIdProvider, groups: object
) -> None:
    provider.person["groups"] = groups
    answer = client.get(go(client))
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert SESSION_COOKIE not in client.cookies
    assert number_of(studio, User) == number_of(studio, LoginSession) == 0


def test_everybody_may_be_let_in_and_an_address_counts_where_it_is_verified(
    studio: Studio, provider: OpenIdProvider
) -> None:
    by_address = with_provider(studio, provider, CLAIM="email", ROLES="admin=ada@example.org, rater=*")
    with new_browser(by_address) as client:
        provider.person |= {"email": "ada@example.org", "email_verified": False}
        assert sign_in(client)["user"]["role"] == "rater"
        provider.person["email_verified"] = True
        assert sign_in(client)["user"]["role"] == "admin"


def test_what_is_not_in_the_token_is_asked_for_and_believed_of_the_same_person_alone(
    client: TestClient, provider: OpenIdProvider
) -> None:
    provider.outside_of_the_token = ("groups",)
    assert sign_in(client)["user"]["role"] == "creator"
    provider.lie = lambda claims: claims | {"sub": "eve-1"}
    assert client.get(go(client)).status_code == 403


def test_a_deactivated_account_stays_shut(client: TestClient, studio: Studio) -> None:
    add_person(studio, "Eve", role="admin")
    user_id = sign_in(client)["user"]["id"]
    with studio.work() as work:
        user = work.session.scalars(select(User).where(User.name == "Ada")).one()
        assert str(user.id) == user_id
        service.change(work, user.id, UserPatch(is_active=False))
    assert client.get("/prompts").status_code == 401
    assert client.get(go(client)).status_code == 401


def test_the_session_ends_soon_so_that_the_provider_is_asked_again(client: TestClient, clock: Clock) -> None:
    sign_in(client)
    clock.advance(identities.LIFETIME.total_seconds() - 1)
    assert client.get("/prompts").status_code == 200
    clock.advance(1)
    assert client.get("/prompts").status_code == 401


def late(claims: dict[str, Any]) -> dict[str, Any]:
    return claims | {"exp": claims["iat"] - 3600, "iat": claims["iat"] - 7200}


LIES: dict[str, Callable[[OpenIdProvider], object]] = {
    "another's nonce": lambda it: setattr(it, "lie", lambda claims: claims | {"nonce": "0" * 64}),
    "no nonce": lambda it: setattr(it, "lie", lambda claims: {**claims, "nonce": None}),
    "another issuer": lambda it: setattr(it, "lie", lambda claims: claims | {"iss": "https://evil.example"}),
    "for another": lambda it: setattr(it, "lie", lambda claims: claims | {"aud": "another"}),
    "for many, not us": lambda it: setattr(it, "lie", lambda claims: claims | {"azp": "another"}),
    "too late": lambda it: setattr(it, "lie", late),
    "without an end": lambda it: setattr(
        it, "lie", lambda claims: {name: value for name, value in claims.items() if name != "exp"}
    ),
    "of nobody": lambda it: setattr(
        it, "lie", lambda claims: {name: value for name, value in claims.items() if name != "sub"}
    ),
    "of too long an id": lambda it: setattr(it, "lie", lambda claims: claims | {"sub": "x" * 256}),
    "of a strange id": lambda it: setattr(it, "lie", lambda claims: claims | {"sub": "a\x00b"}),
    "of an id that is a number": lambda it: setattr(it, "lie", lambda claims: claims | {"sub": 7}),
    "for another access": lambda it: setattr(it, "lie", lambda claims: claims | {"at_hash": "x"}),
    "unsigned": lambda it: setattr(it, "sign", it.unsigned),
    "signed with the public key": lambda it: setattr(it, "sign", it.signed_with_the_public_key),
    "signed by another": lambda it: setattr(it, "sign", it.signed_by_another),
    "no token": lambda it: setattr(it, "sign", lambda _: ""),
    "no words": lambda it: setattr(it, "sign", lambda _: "a.b.c"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_token_that_is_not_true_signs_nobody_in(
    client: TestClient, studio: Studio, provider: OpenIdProvider, lie: str
) -> None:
    LIES[lie](provider)
    answer = client.get(go(client))
    assert (answer.status_code, answer.json()["code"]) == (401, "not_logged_in")
    assert SESSION_COOKIE not in client.cookies
    assert number_of(studio, User) == number_of(studio, LoginSession) == 0


def test_the_lies_are_told_by_a_provider_that_is_believed_without_them(client: TestClient) -> None:
    assert sign_in(client)["user"]["name"] == "Ada"


def test_the_way_back_is_for_the_browser_that_went(
    studio: Studio, provider: OpenIdProvider, client: TestClient
) -> None:
    way = go(client)
    with new_browser(with_provider(studio, provider)) as victim:
        assert victim.get(way).status_code == 401  # without an attempt of its own
        victim.get(BEGIN)
        assert victim.get(way).status_code == 401  # nor with another one
        assert SESSION_COOKIE not in victim.cookies
    assert client.get(way.replace("state=", "state=x")).status_code == 401
    assert client.get(way).status_code == 303  # no attempt of others has spoilt it


def test_a_code_is_good_once_and_for_whoever_began(client: TestClient) -> None:
    kept = client.get(BEGIN).cookies[ATTEMPT_COOKIE]
    way = go(client)
    assert client.get(way).status_code == 303
    assert client.get(way).status_code == 401
    stolen = go(client).replace("http://127.0.0.1:8000", "")
    client.cookies.set(ATTEMPT_COOKIE, kept, path=BEGIN, domain="127.0.0.1")
    assert client.get(stolen).status_code == 401  # the verifier of another attempt


@pytest.mark.parametrize(
    "change", [{"iss": "https://evil.example"}, {"code": ""}, {"error": "access_denied", "code": ""}]
)
def test_an_answer_of_another_or_without_a_code_signs_nobody_in(
    client: TestClient, change: dict[str, str]
) -> None:
    way = httpx2.URL(f"http://127.0.0.1:8000{go(client)}").copy_merge_params(change)
    assert client.get(str(way)).status_code == 401


def test_many_failures_from_one_address_are_answered_no_more(client: TestClient) -> None:
    found = [client.get(f"{BEGIN}/callback?state=x&code=x").status_code for _ in range(12)]
    assert found == [401] * 10 + [429] * 2


def test_a_key_named_of_the_provider_is_learnt_and_the_rest_is_remembered(
    client: TestClient, provider: OpenIdProvider, clock: Clock
) -> None:
    sign_in(client)
    sign_in(client)
    assert provider.asked == ["discover", "keys"]
    provider.key = key_named("second")
    sign_in(client)
    assert provider.asked == ["discover", "keys"] * 2
    clock.advance(KEEP_SECONDS + 1)
    sign_in(client)
    assert provider.asked == ["discover", "keys"] * 3


def test_a_provider_out_of_order_or_another_one_is_said_so(studio: Studio, provider: OpenIdProvider) -> None:
    for trouble in ({"status": 500}, {"status": 302}, {"told_issuer": "https://evil.example"}):
        for name, value in trouble.items():
            setattr(provider, name, value)
        with new_browser(with_provider(studio, provider)) as client:
            answer = client.get(BEGIN)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        provider.status, provider.told_issuer = 200, None
    nobody = with_provider(studio, provider, ISSUER=f"http://127.0.0.1:{free_port()}")
    with new_browser(nobody) as client:
        assert client.get(BEGIN).status_code == 503


def test_a_provider_that_is_out_of_order_is_left_in_peace_for_a_moment(
    client: TestClient, provider: OpenIdProvider, clock: Clock
) -> None:
    provider.status = 500
    assert [client.get(BEGIN).status_code for _ in range(3)] == [503] * 3
    assert provider.asked == ["discover"]
    provider.status = 200
    clock.advance(PAUSE_SECONDS)
    assert client.get(BEGIN).status_code == 303


def test_a_clock_that_is_set_back_keeps_nobody_out(
    client: TestClient, provider: OpenIdProvider, clock: Clock
) -> None:
    provider.status = 500
    assert client.get(BEGIN).status_code == 503
    provider.status = 200
    clock.advance(-3600)
    assert client.get(BEGIN).status_code == 303
    clock.advance(-3600)  # what was believed an hour from now is old, too
    assert client.get(BEGIN).status_code == 303
    assert provider.asked.count("discover") == 3


def test_a_provider_is_asked_for_nobody_s_groups_in_the_clear(
    studio: Studio, provider: OpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever sits on the way could make themselves an admin."""
    said = {
        "issuer": "https://login.example",
        "authorization_endpoint": "https://login.example/authorize",
        "token_endpoint": "https://login.example/token",
        "jwks_uri": "https://login.example/keys",
        "userinfo_endpoint": "http://login.example/userinfo",
    }
    safe = with_provider(
        studio,
        provider,
        ISSUER="https://login.example",
        REDIRECT_URL="https://studio.example/session/oidc/callback",
    )
    monkeypatch.setattr(
        "text2song.api.provider._ask", lambda *_, **__: httpx2.Response(200, json=said)
    )  # a real one would need a certificate that this machine trusts
    with new_browser(safe) as client:
        assert client.get(BEGIN).status_code == 503
        said["userinfo_endpoint"] = "https://login.example/userinfo"
    with new_browser(safe) as client:
        assert client.get(BEGIN).status_code == 303


def test_a_provider_that_keeps_one_waiting_keeps_nobody_else(studio: Studio, clock: Clock) -> None:
    """Else a few browsers could take every thread that the studio has."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent_one = OpenIdProvider(clock, issuer=f"http://127.0.0.1:{silent.getsockname()[1]}")
        with new_browser(with_provider(studio, silent_one)) as client, ThreadPoolExecutor(4) as pool:
            began = time.monotonic()
            answers = [pool.submit(client.get, BEGIN) for _ in range(4)]
            ended = [(answer.result().status_code, time.monotonic() - began) for answer in answers]
    assert {status for status, _ in ended} == {503}
    assert max(seconds for _, seconds in ended) < 2 * ANSWER_SECONDS


def test_a_wrong_secret_is_the_provider_s_to_refuse(studio: Studio, provider: OpenIdProvider) -> None:
    with new_browser(with_provider(studio, provider, CLIENT_SECRET="wrong")) as client:
        assert client.get(go(client)).status_code == 401


def test_without_a_provider_there_is_no_way_to_one(studio: Studio) -> None:
    with new_browser(studio) as client:
        for path in (BEGIN, f"{BEGIN}/callback?code=x&state=x"):
            answer = client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_no_secret_is_logged_or_answered(
    client: TestClient, provider: OpenIdProvider, capsys: pytest.CaptureFixture[str]
) -> None:
    way = go(client)
    told = client.get(way).text + client.get(way).text + client.get("/session").text
    provider.sign = provider.unsigned
    told += client.get(go(client)).text
    out = capsys.readouterr()
    code = httpx2.URL(f"http://127.0.0.1{way}").params["code"]
    for secret in (CLIENT_SECRET, code, "eyJ", client.cookies.get(SESSION_COOKIE) or "-"):
        assert secret not in told + out.out + out.err
    assert CLIENT_SECRET not in repr(client.app.state.studio.settings)  # type: ignore[attr-defined]  # FastAPI's
