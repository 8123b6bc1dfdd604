"""Every endpoint x everybody who may ask. A new endpoint without a line here fails the build."""

import json
import time
from collections.abc import Callable
from typing import Any, Final

import pytest
from fastapi.routing import iter_route_contexts

from tests.api.team import PEOPLE, Team, gather
from tests.studios import Desk
from text2song.api import reference

Request = tuple[str, dict[str, Any]]
"""A path, and what goes with it."""
Make = Callable[[Team], Request]

WORDS: Final = {"text": "a"}
RANGE: Final = {"headers": {"Range": "bytes=0-9"}}


def at(path: str, **request: Any) -> Make:  # noqa: ANN401  # httpx2's
    """The same request for everybody."""
    return lambda _: (path, request)


def of(noun: str, path: str, **request: Any) -> Make:  # noqa: ANN401  # httpx2's
    """About a new thing of the owner's each time."""
    return lambda team: (path.format(getattr(team, noun)()), request)


# fmt: off
TABLE: Final[dict[str, tuple[Make, str]]] = {
    # whoever asks:                                                nob rat own oth adm rev exp
    "GET /healthz": (at("/healthz"),                              "200 200 200 200 200 200 200"),
    "GET /readyz": (at("/readyz"),                                "200 200 200 200 200 200 200"),
    # to whoever asks on the machine itself: tests/api/metrics/test_endpoint.py has the others
    "GET /metrics": (at("/metrics"),                              "200 200 200 200 200 200 200"),
    "POST /session": (at("/session"),                           "401 200 200 200 200 401 401"),
    "GET /session": (at("/session"),                              "401 200 200 200 200 401 401"),
    "DELETE /session": (at("/session"),                           "401 204 204 204 204 401 401"),
    "GET /models": (at("/models"),                                "401 200 200 200 200 401 401"),

    "GET /prompts": (at("/prompts"),                              "401 200 200 200 200 401 401"),
    "POST /prompts": (at("/prompts", json=WORDS),                 "401 403 201 201 201 401 401"),
    "GET /prompts/{prompt_id}": (of("prompt", "/prompts/{}"),     "401 404 200 404 200 401 401"),
    "PATCH /prompts/{prompt_id}": (
        of("prompt", "/prompts/{}", json={"visibility": "shared"}), "401 403 200 404 200 401 401"),
    "DELETE /prompts/{prompt_id}": (of("prompt", "/prompts/{}"),  "401 403 204 404 204 401 401"),

    "GET /generate": (at("/generate"),                            "401 200 200 200 200 401 401"),
    "POST /generate": (at("/generate", json={"prompt": WORDS}),   "401 403 202 202 202 401 401"),
    "GET /generate/{job_id}": (of("job", "/generate/{}"),         "401 404 200 404 200 401 401"),
    "DELETE /generate/{job_id}": (of("job", "/generate/{}"),      "401 403 200 404 200 401 401"),
    "POST /generate/{job_id}/retry": (
        of("cancelled_job", "/generate/{}/retry"),                "401 403 202 404 202 401 401"),

    "GET /audio": (at("/audio"),                                  "401 200 200 200 200 401 401"),
    "GET /audio/compare": (of("sample", "/audio/compare?ids={}"), "401 404 200 404 200 401 401"),
    "GET /audio/{audio_id}": (of("sample", "/audio/{}"),          "401 404 200 404 200 401 401"),
    "GET /audio/{audio_id}/stream": (
        of("sample", "/audio/{}/stream", **RANGE),                "401 404 206 404 206 401 401"),
    "GET /audio/{audio_id}/peaks": (of("sample", "/audio/{}/peaks"), "401 404 200 404 200 401 401"),
    "GET /audio/{audio_id}/download": (
        of("sample", "/audio/{}/download?format=wav"),            "401 404 200 404 200 401 401"),
    "DELETE /audio/{audio_id}": (of("sample", "/audio/{}"),       "401 403 204 404 204 401 401"),

    "GET /users": (at("/users"),                                  "401 403 403 403 200 401 401"),
    "POST /users": (
        lambda team: ("/users", {"json": {"name": team.new_name()}}), "401 403 403 403 201 401 401"),
    "GET /users/{user_id}": (of("owner_id", "/users/{}"),         "401 403 403 403 200 401 401"),
    "PATCH /users/{user_id}": (
        of("owner_id", "/users/{}", json={"is_expert": True}),    "401 403 403 403 200 401 401"),
    "GET /keys": (at("/keys"),                                    "401 200 200 200 200 401 401"),
    "POST /keys": (at("/keys", json={"name": "spare"}),           "401 201 201 201 201 401 401"),
    "DELETE /keys/{key_id}": (of("key", "/keys/{}"),              "401 404 204 404 204 401 401"),
    "GET /audit": (at("/audit"),                                  "401 403 403 403 200 401 401"),
}
SHARED: Final[dict[str, tuple[Make, str]]] = {
    # what is shared:                                                    nob rat own oth adm rev exp
    "GET /prompts/{prompt_id}": (of("shared_prompt", "/prompts/{}"),    "401 200 200 200 200 401 401"),
    "PATCH /prompts/{prompt_id}": (
        of("shared_prompt", "/prompts/{}", json={"visibility": "private"}),
                                                                        "401 403 200 403 200 401 401"),
    "DELETE /prompts/{prompt_id}": (of("shared_prompt", "/prompts/{}"), "401 403 204 403 204 401 401"),
    "GET /generate/{job_id}": (of("shared_job", "/generate/{}"),        "401 200 200 200 200 401 401"),
    "DELETE /generate/{job_id}": (of("shared_job", "/generate/{}"),     "401 403 200 403 200 401 401"),
    "POST /generate/{job_id}/retry": (
        of("shared_cancelled_job", "/generate/{}/retry"),               "401 403 202 403 202 401 401"),
    "GET /audio/compare": (
        of("shared_sample", "/audio/compare?ids={}"),                   "401 200 200 200 200 401 401"),
    "GET /audio/{audio_id}": (of("shared_sample", "/audio/{}"),         "401 200 200 200 200 401 401"),
    "GET /audio/{audio_id}/stream": (
        of("shared_sample", "/audio/{}/stream", **RANGE),               "401 206 206 206 206 401 401"),
    "GET /audio/{audio_id}/peaks": (of("shared_sample", "/audio/{}/peaks"), "401 200 200 200 200 401 401"),
    "GET /audio/{audio_id}/download": (
        of("shared_sample", "/audio/{}/download"),                      "401 200 200 200 200 401 401"),
    "DELETE /audio/{audio_id}": (of("shared_sample", "/audio/{}"),      "401 403 204 403 204 401 401"),
}
BY_WAY_OF: Final[dict[str, tuple[str, Make, str]]] = {
    # a way to them:nob rat own oth adm rev exp
    "a new job of a prompt": (
        "POST", lambda team: ("/generate", {"json": {"prompt_id": team.prompt()}}),
        "401 403 202 404 202 401 401"),
    "a new job of a shared prompt": (
        "POST", lambda team: ("/generate", {"json": {"prompt_id": team.shared_prompt()}}),
        "401 403 202 202 202 401 401"),
    "a sample made again": (
        "POST", lambda team: ("/generate", {"json": {"from_sample": team.sample()}}),
        "401 403 202 404 202 401 401"),
    "a shared sample made again": (
        "POST", lambda team: ("/generate", {"json": {"from_sample": team.shared_sample()}}),
        "401 403 202 202 202 401 401"),
    "a poll that waits": (
        "GET", of("job", "/generate/{}?wait=0.05&since=99"), "401 404 200 404 200 401 401"),
    "jobs by their ids": ("GET", of("job", "/generate?ids={}"), "401 404 200 404 200 401 401"),
    "a wait for jobs by their ids": (
        "GET", of("job", "/generate?ids={}&wait=0.05&since=99"), "401 404 200 404 200 401 401"),
    "one of several compared": (
        "GET", lambda team: (f"/audio/compare?ids={team.shared_sample()},{team.sample()}", {}),
        "401 404 200 404 200 401 401"),
    "the head of a stream": ("HEAD", of("sample", "/audio/{}/stream"), "401 404 200 404 200 401 401"),
    "the head of a record": ("HEAD", of("sample", "/audio/{}"), "401 404 200 404 200 401 401"),
    "another's keys": (
        "GET", of("owner_id", "/keys?user_id={}"), "401 403 200 403 200 401 401"),
    "a key for another": (
        "POST", lambda team: ("/keys", {"json": {"name": "a", "user_id": team.owner_id()}}),
        "401 403 201 403 201 401 401"),
    "the last admin's role": (
        "PATCH", of("admin_id", "/users/{}", json={"role": "rater"}), "401 403 403 403 409 401 401"),
}
# fmt: on
OUTSIDE_OF_THE_DOCUMENT: Final = {
    "GET /",
    "GET /docs",
    "GET /docs/page.css",
    "GET /docs/problems",
    "GET /docs/start.js",
    "GET /docs/{name}",
    "GET /openapi.json",
    "HEAD /openapi.json",
    "GET /session/oidc",
    "GET /session/oidc/callback",  # both lead to a login: see test_provider_session.py
    "HEAD /audio/{audio_id}/stream",  # tried above
}
"""Pages for everybody: they tell of the API, and of nobody's things."""


@pytest.fixture(scope="module", name="team")
def make_team(shared_desk: Desk) -> Team:
    return gather(shared_desk)


def answers(team: Team, method: str, make: Make) -> str:
    """The statuses that everybody gets, in the order of `PEOPLE`."""
    team.desk.clock.advance(60)  # wrong keys are answered as such only a few times a minute
    found = []
    for who in PEOPLE:
        path, request = make(team)
        if (method, path) == ("POST", "/session"):  # the key goes into the body
            key = "t2s_wrong" if who == "nobody" else team.people[who].key
            answer = team.ask("nobody", method, path, json={"key": key})
        else:
            answer = team.ask(who, method, path, **request)
        assert "a private thought" not in answer.text or answer.status_code < 300
        found.append(answer.status_code)
    return " ".join(map(str, found))


def test_every_operation_is_in_the_table() -> None:
    document = json.loads(reference.document())
    operations = {
        f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods
    }
    assert set(TABLE) == operations, "write a line for who may do what is new"
    assert set(SHARED) <= operations


def test_every_route_is_in_the_document_or_known_to_be_for_everybody(team: Team) -> None:
    app: Any = team.desk.client.app
    routes = {
        f"{method} {context.path_format or context.path}"
        for context in iter_route_contexts(app.routes)
        for method in context.methods or ()
    }
    assert routes - set(TABLE) == OUTSIDE_OF_THE_DOCUMENT


@pytest.mark.parametrize("operation", TABLE)
def test_everybody_gets_what_the_table_says(team: Team, operation: str) -> None:
    make, expected = TABLE[operation]
    assert answers(team, operation.partition(" ")[0], make) == expected


@pytest.mark.parametrize("operation", SHARED)
def test_what_is_shared_is_read_by_all_and_changed_by_its_owner(team: Team, operation: str) -> None:
    make, expected = SHARED[operation]
    assert answers(team, operation.partition(" ")[0], make) == expected


@pytest.mark.parametrize("way", BY_WAY_OF)
def test_no_way_leads_around_it(team: Team, way: str) -> None:
    method, make, expected = BY_WAY_OF[way]
    assert answers(team, method, make) == expected


@pytest.mark.parametrize(
    ("noun", "path", "filters"),
    [
        ("prompt", "/prompts", ("q=private",)),
        ("job", "/generate", ("status=queued", "prompt_id={prompt_id}")),
        ("sample", "/audio", ("prompt_id={prompt_id}",)),
    ],
)
def test_lists_hold_what_one_may_see_and_nothing_else(
    team: Team, noun: str, path: str, filters: tuple[str, ...]
) -> None:
    private, shared = getattr(team, noun)(), getattr(team, f"shared_{noun}")()
    record = team.owner.ask("GET", f"{path}/{private}").json()
    for query in ("", *filters):
        asked = query.format(prompt_id=record.get("prompt_id"))
        for who, sees in (("rater", False), ("other", False), ("owner", True), ("admin", True)):
            listed = team.ask(who, "GET", f"{path}?limit=200&{asked}").json()["items"]
            ids = {item["id"] for item in listed}
            assert (private in ids) is sees, (who, asked)
            assert (shared in ids) is ("prompt_id" not in query), (who, asked)


def test_a_limited_key_does_no_more_than_its_scopes(team: Team) -> None:
    for scopes, statuses in (
        (["read"], (200, 403, 403)),
        (["read", "create"], (200, 201, 403)),
        (["admin"], (403, 403, 200)),
    ):
        made = team.people["admin"].ask("POST", "/keys", json={"name": "limited", "scopes": scopes}).json()
        headers = {"Authorization": f"Bearer {made['key']}"}
        found = [
            team.desk.client.request(method, path, headers=headers, json=body).status_code
            for method, path, body in (
                ("GET", "/prompts", None),
                ("POST", "/prompts", WORDS),
                ("GET", "/users", None),
            )
        ]
        assert tuple(found) == statuses, scopes


def test_an_admin_s_key_for_reading_is_nobody_s_master_key(team: Team) -> None:
    made = team.people["admin"].ask("POST", "/keys", json={"name": "limited", "scopes": ["read"]}).json()
    headers = {"Authorization": f"Bearer {made['key']}"}
    for path in (f"/prompts/{team.prompt()}", f"/generate/{team.job()}", f"/audio/{team.sample()}"):
        assert team.desk.client.get(path, headers=headers).status_code == 404


def test_a_poll_for_another_s_job_ends_as_soon_as_one_for_none(team: Team) -> None:
    told = []
    began = time.monotonic()
    for job_id in (team.job(), "0198c0de-0000-7000-8000-000000000000"):
        problem = team.ask("other", "GET", f"/generate/{job_id}?wait=30&since=99").json()
        told.append({name: str(problem[name]).replace(job_id, "ID") for name in ("status", "code", "detail")})
    assert told[0] == told[1]
    assert time.monotonic() - began < 15


def test_a_retry_by_an_admin_stays_its_owner_s(team: Team) -> None:
    job = team.people["admin"].ask("POST", f"/generate/{team.cancelled_job()}/retry").json()
    assert job["user_id"] == str(team.owner.id)
    assert team.owner.ask("GET", f"/generate/{job['id']}").status_code == 200
