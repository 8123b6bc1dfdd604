"""The web studio on another site: a real server, and a real browser that decides what a page may do."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from tests.api.edge import LOOPBACK, Written, make_app, make_client
from text2song.api.app import ApiOptions

SITE = "https://studio.example"
OPTIONS = ApiOptions(allowed_hosts=LOOPBACK.allowed_hosts, web_origins=(SITE, "http://localhost:3000"))
FROM_SITE = {"Origin": SITE, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}


@pytest.fixture(name="written")
def make_written() -> Written:
    return Written()


@pytest.fixture(name="client")
def make_open_client(written: Written) -> Iterator[TestClient]:
    with make_client(make_app(OPTIONS, written=written)) as client:
        yield client


def preflight(client: TestClient, *, origin: str, method: str = "POST", headers: str = "") -> dict[str, str]:
    asked = {"Origin": origin, "Access-Control-Request-Method": method, "Sec-Fetch-Site": "cross-site"}
    if headers:
        asked["Access-Control-Request-Headers"] = headers
    answer = client.options("/prompts", headers=asked)
    return {"status": str(answer.status_code), **answer.headers}


@pytest.mark.parametrize("origin", OPTIONS.web_origins)
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_the_site_may_ask_with_its_cookie(client: TestClient, origin: str, method: str) -> None:
    allowed = preflight(
        client, origin=origin, method=method, headers="content-type,x-csrf-token,idempotency-key"
    )
    assert allowed["status"] == "200"
    assert allowed["access-control-allow-origin"] == origin
    assert allowed["access-control-allow-credentials"] == "true"
    assert method in allowed["access-control-allow-methods"]
    assert "Origin" in allowed["vary"]


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://studio.example.evil.example",
        "https://studio.example:444",
        "http://studio.example",
        "null",
        "https://STUDIO.example/",
        "",
    ],
)
def test_no_other_origin_gets_a_word(client: TestClient, written: Written, origin: str) -> None:
    refused = preflight(client, origin=origin)
    assert refused["status"] == "403"
    for method, path in (("GET", "/prompts/7"), ("POST", "/prompts/7/copy"), ("DELETE", "/prompts/7")):
        answer = client.request(
            method, path, headers={"Origin": origin, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
        )
        assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert written.prompts == []


def test_an_origin_beside_a_good_one_spoils_both(client: TestClient, written: Written) -> None:
    headers = [(b"Origin", SITE.encode()), (b"Origin", b"https://evil.example")]
    assert client.post("/prompts/7/copy", headers=headers).status_code == 403
    assert written.prompts == []


def test_the_site_writes_and_reads(client: TestClient, written: Written) -> None:
    answer = client.post("/prompts", json={"text": "a"}, headers=FROM_SITE)
    assert answer.status_code == 201
    assert len(written.prompts) == 1
    for path in ("/prompts/7", "/nowhere", "/trouble/missing", "/trouble/bug"):  # also where it goes wrong
        answer = client.get(path, headers=FROM_SITE)
        assert answer.headers["access-control-allow-origin"] == SITE, path
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert "X-Request-ID" in answer.headers["access-control-expose-headers"]
    too_large = client.post("/prompts", content=bytes(2_000_000), headers=FROM_SITE)
    assert (too_large.status_code, too_large.headers["access-control-allow-origin"]) == (413, SITE)


def test_the_rest_of_the_door_stays_shut_to_the_site(client: TestClient) -> None:
    assert client.get("/prompts/7", headers=FROM_SITE | {"Host": "evil.example"}).status_code == 421
    assert client.get("/prompts/7", headers=FROM_SITE | {"Via": "1.1 x"}).status_code == 403


def test_without_another_origin_nothing_is_said_of_any() -> None:
    client = make_client(make_app())
    answer = client.get("/prompts/7")
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert "vary" not in answer.headers


def test_behind_a_proxy_that_ends_tls_the_own_page_is_the_one_that_the_setting_names() -> None:
    options = ApiOptions(
        allowed_hosts=("studio.example",), has_users=lambda: True, web_origins=("https://studio.example",)
    )
    client = make_client(make_app(options), host="studio.example")
    page = {"Origin": SITE, "Sec-Fetch-Site": "same-origin", "X-Forwarded-Proto": "https"}
    assert client.post("/prompts", json={"text": "a"}, headers=page).status_code == 201
    assert (
        client.post(
            "/prompts", json={"text": "a"}, headers=page | {"Origin": "https://evil.example"}
        ).status_code
        == 403
    )
