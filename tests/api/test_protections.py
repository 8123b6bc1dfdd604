"""Plays the attackers: a rebinding page, a cross-site form and script, a proxy on the same host."""

import asyncio
import dataclasses
import http.client
from typing import NoReturn

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from tests.api.edge import LOOPBACK, Written, make_app, make_client, serve
from text2song.api.app import ApiOptions
from text2song.api.protections import SECURITY_HEADERS, DoorOptions, FrontDoor
from text2song.errors import ForeignHost

PROMPT = '{"text": "a slow walk home"}'


@pytest.fixture(name="written")
def make_written() -> Written:
    return Written()


@pytest.fixture(name="client")
def make_guarded_client(written: Written) -> TestClient:
    return make_client(make_app(written=written))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8000", "LOCALHOST", "[::1]:8000", "[::1]"])
def test_its_own_hosts_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "localhost.",
        "localhost@evil.example",
        "localhost:8000:8000",
        "localhost/",
        "",
        "::1",
        "[::1",
        "0.0.0.0",  # noqa: S104  # nothing is bound here
        "127.1",
    ],
)
def test_a_rebinding_page_reads_and_writes_nothing(client: TestClient, written: Written, host: str) -> None:
    # for the browser the page and this server are one origin, so Origin and Sec-Fetch-Site look right
    page = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    read = client.get("/prompts/7", headers=page)
    write = client.post("/prompts", json={"text": "a"}, headers=page)
    for response in (read, write):
        assert (response.status_code, response.json()["code"]) == (421, "foreign_host")
    assert written.prompts == []


@pytest.mark.parametrize("hosts", [[], [b"localhost", b"localhost"], [b"localhost", b"evil.example"]])
def test_exactly_one_host_is_needed(hosts: list[bytes]) -> None:
    door = FrontDoor(unreachable, DoorOptions(LOOPBACK.allowed_hosts))
    scope = {"type": "http", "method": "GET", "headers": [(b"host", host) for host in hosts]}
    with pytest.raises(ForeignHost, match="exactly one Host header"):
        asyncio.run(door(scope, unreachable, unreachable))


async def unreachable(*_: object) -> NoReturn:
    raise AssertionError("the door let it in")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:3000", "file://", ""])
def test_a_cross_site_form_changes_nothing(
    client: TestClient, written: Written, content_type: str, origin: str
) -> None:
    form = {"Origin": origin, "Content-Type": content_type}
    for path in ("/prompts", "/prompts/7/copy"):
        response = client.post(path, content=PROMPT, headers=form)
        assert (response.status_code, response.json()["code"]) == (403, "foreign_origin")
    assert written.prompts == []


def test_a_host_that_makes_no_origin_is_not_the_origin_null(client: TestClient, written: Written) -> None:
    page = {"Host": "localhost:99999", "Origin": "null"}
    response = client.post("/prompts", content=PROMPT, headers=page)
    assert (response.status_code, response.json()["code"]) == (403, "foreign_origin")
    assert written.prompts == []


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"])
@pytest.mark.parametrize(
    "page",
    [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}],
)
def test_all_but_reads_is_refused_to_foreign_pages(
    client: TestClient, method: str, page: dict[str, str]
) -> None:
    response = client.request(method, "/prompts/7", headers=page)
    assert (response.status_code, response.json()["code"]) == (403, "foreign_origin")


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "[::1]:8000"])
def test_its_own_page_writes(client: TestClient, written: Written, host: str) -> None:
    page = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/prompts", json={"text": "a"}, headers=page).status_code == 201
    assert len(written.prompts) == 1


@pytest.mark.parametrize(
    "origin",
    [
        "https://localhost:8000",
        "http://localhost:8001",
        "http://localhost",
        "http://127.0.0.1:8000",
        "http://[",
    ],
)
def test_an_origin_is_scheme_host_and_port(client: TestClient, origin: str) -> None:
    headers = {"Host": "localhost:8000", "Origin": origin}
    assert client.post("/prompts", json={"text": "a"}, headers=headers).status_code == 403


def test_the_default_port_may_be_written_or_not(client: TestClient) -> None:
    headers = {"Host": "localhost:80", "Origin": "http://localhost"}
    assert client.post("/prompts", json={"text": "a"}, headers=headers).status_code == 201


def test_programs_without_a_page_write(client: TestClient, written: Written) -> None:
    assert client.post("/prompts", json={"text": "a"}).status_code == 201
    assert len(written.prompts) == 1


def test_a_foreign_page_makes_the_server_work_only_by_a_link_that_a_person_follows(
    client: TestClient,
) -> None:
    embedded = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "audio"}
    framed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    typed = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    own = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
    statuses = [
        client.get("/prompts/7", headers=h).status_code for h in (embedded, framed, followed, typed, own)
    ]
    assert statuses == [403, 403, 200, 200, 200]


@pytest.mark.parametrize(
    "name",
    [
        "Forwarded", "Via", "X-Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto",
        "X-Original-Forwarded-For", "X-Real-IP", "X-Client-IP", "True-Client-IP", "X-Cluster-Client-IP",
        "CF-Connecting-IP", "CF-Ray", "CF-IPCountry", "CDN-Loop", "Fastly-Client-IP", "Fly-Client-IP",
        "X-Azure-ClientIP", "X-AppEngine-User-IP", "X-Envoy-External-Address", "X-Original-URL",
        "X-Amzn-Trace-Id", "X-Amz-Cf-Id", "Tailscale-User-Login",
    ],
)  # fmt: skip
def test_a_proxy_is_refused_while_nobody_logs_in(client: TestClient, name: str) -> None:
    response = client.get("/healthz", headers={name: "203.0.113.7"})
    assert (response.status_code, response.json()["code"]) == (403, "proxy_refused")
    assert "Configure users" in response.json()["detail"]


def test_headers_that_programs_on_this_machine_send_give_no_proxy_away(client: TestClient) -> None:
    own = {
        "X-Request-ID": "mine",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "X-Requested-With": "XMLHttpRequest",
        "Proxy-Connection": "keep-alive",  # a program's own, to a proxy that it was told to use
        "Cache-Control": "no-cache",
        "DNT": "1",
        "Sec-GPC": "1",
    }
    assert client.get("/healthz", headers=own).status_code == 200


def test_a_proxy_is_welcome_where_people_log_in() -> None:
    client = make_client(make_app(ApiOptions(allowed_hosts=("studio.example",), has_users=lambda: True)))
    headers = {"Host": "studio.example", "X-Forwarded-For": "203.0.113.7"}
    assert client.get("/healthz", headers=headers).status_code == 200


def test_a_proxy_in_front_of_a_real_server_is_refused() -> None:
    with serve(make_app()) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        # what nginx sends by the usual recipe: the public host, and who asked
        connection.request(
            "GET", "/healthz", headers={"Host": "studio.example", "X-Forwarded-For": "203.0.113.7"}
        )
        assert connection.getresponse().status == 403
        connection.close()


def test_a_foreign_script_gets_no_leave_over_a_real_server(written: Written) -> None:
    with serve(make_app(written=written)) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        connection.request("OPTIONS", "/prompts", headers=preflight)
        response = connection.getresponse()
        response.read()
        assert response.status == 403
        assert not [name for name in response.headers if name.lower().startswith("access-control")]
        forged = {"Origin": "https://evil.example", "Content-Type": "application/json"}
        connection.request("POST", "/prompts", PROMPT, forged)
        response = connection.getresponse()
        assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (403, None)
        connection.close()
    assert written.prompts == []


@pytest.mark.parametrize("path", ["/healthz", "/nowhere", "/trouble/bug", "/docs", "/openapi.json"])
def test_every_answer_carries_the_security_headers(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    for name, value in SECURITY_HEADERS.items():
        if name == "Content-Security-Policy":
            assert "frame-ancestors 'none'" in headers[name]
            assert "default-src 'none'" in headers[name]
        else:
            assert headers[name] == value
    assert "access-control-allow-origin" not in headers


def test_an_answer_in_a_tab_may_play_from_where_a_storage_serves_its_bytes() -> None:
    origin = "https://songs.example.org"
    client = make_client(make_app(dataclasses.replace(LOOPBACK, media_origin=origin)))
    policy = client.get("/healthz").headers["content-security-policy"]
    assert f"media-src 'self' {origin};" in policy
    assert "default-src 'none'" in policy


def test_refusals_are_protected_logged_and_named_too(client: TestClient) -> None:
    headers = client.get("/healthz", headers={"Host": "evil.example", "X-Request-ID": "mine"}).headers
    assert headers["x-request-id"] == "mine"
    assert headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Host": "localhost", "Origin": "https://evil.example"}]
)
def test_a_socket_of_a_foreign_page_is_never_opened(client: TestClient, headers: dict[str, str]) -> None:
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/healthz", headers=headers):
        pass
