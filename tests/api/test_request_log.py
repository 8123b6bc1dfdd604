import re
import uuid
from collections.abc import MutableMapping
from typing import Any

import pytest
import structlog
from fastapi import APIRouter
from structlog.testing import capture_logs

from tests.api.edge import make_app, make_client

Line = MutableMapping[str, Any]


def logged(method: str, path: str, *, headers: dict[str, str] | None = None) -> tuple[str, Line]:
    """The id that came back, and the request's line."""
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        response = make_client(make_app()).request(method, path, headers=headers or {})
    (line,) = (line for line in lines if line["event"] == "request")
    return response.headers["x-request-id"], line


def test_one_line_names_the_route_and_nothing_private() -> None:
    request_id, line = logged("GET", "/prompts/7?token=secret")
    assert line.pop("duration_ms") >= 0
    assert line == {
        "event": "request",
        "log_level": "info",
        "method": "GET",
        "path": "/prompts/{number}",
        "status": 422,
        "request_id": request_id,
    }


@pytest.mark.parametrize(
    ("method", "path", "template", "status"),
    [
        ("HEAD", "/prompts/7", "/prompts/{number}", 200),
        ("PUT", "/prompts/7", "/prompts/{number}", 405),
        ("DELETE", "/prompts/7", "/prompts/{number}", 409),
        ("GET", "/trouble/bug", "/trouble/{name}", 500),
        ("GET", "/now%0ahere", "/now\N{REPLACEMENT CHARACTER}here", 404),
    ],
)
def test_each_end_is_logged(method: str, path: str, template: str, status: int) -> None:
    line = logged(method, path)[1]
    assert (line["method"], line["path"], line["status"]) == (method, template, status)


def test_a_new_id_is_a_uuid7() -> None:
    assert uuid.UUID(logged("GET", "/healthz")[0]).version == 7


@pytest.mark.parametrize("given", ["a", "A-b_c.9", "x" * 64])
def test_a_sane_id_of_the_client_is_kept(given: str) -> None:
    request_id, line = logged("GET", "/healthz", headers={"X-Request-ID": given})
    assert request_id == line["request_id"] == given


@pytest.mark.parametrize(
    "given", ["", "x" * 65, "a b", "a\tb", 'a"b', "a\\r\\nSet-Cookie: b", "\N{SNOWMAN}", "a;b"]
)
def test_a_strange_id_of_the_client_is_replaced(given: str) -> None:
    with capture_logs():
        client = make_client(make_app())
        response = client.get("/healthz", headers=[(b"X-Request-ID", given.encode())])
    assert response.status_code == 200
    assert re.fullmatch(r"[0-9a-f-]{36}", response.headers["x-request-id"])
    assert "set-cookie" not in response.headers


def test_what_an_endpoint_logs_carries_the_id_even_from_a_thread() -> None:
    router = APIRouter()

    @router.get("/chatty")
    def chat() -> None:  # not async: FastAPI runs it in a thread
        structlog.stdlib.get_logger().info("spoke")

    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        make_client(make_app(extra=(router,))).get("/chatty", headers={"X-Request-ID": "mine"})
    assert next(line for line in lines if line["event"] == "spoke")["request_id"] == "mine"
