import re

import pytest
import structlog
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from tests.api.edge import make_app, make_client
from text2song import errors
from text2song.api.problems import EDGE_KINDS, KINDS, answer


def tree(root: type[errors.StudioError] = errors.StudioError) -> list[type[errors.StudioError]]:
    return [root, *(each for child in children(root) for each in tree(child))]


def children(cls: type[errors.StudioError]) -> list[type[errors.StudioError]]:
    """Those of the product: another test may have made its own."""
    return [child for child in cls.__subclasses__() if child.__module__.startswith("text2song")]


def drawn_tree(cls: type[errors.StudioError], *, stem: str = "", branch: str = "") -> list[tuple[str, str]]:
    """The tree as the docstring of errors.py must draw it: (branch and name, code)."""
    lines = [(f"{branch}{cls.__name__}", cls.code)]
    for child in children(cls):
        is_last = child is children(cls)[-1]
        line = f"{stem}└── " if is_last else f"{stem}├── "
        lines += drawn_tree(child, stem=stem + ("    " if is_last else "│   "), branch=line)
    return lines


@pytest.fixture(name="client")
def make_trouble_client() -> TestClient:
    return make_client(make_app())


def test_every_error_has_its_own_status_and_its_own_code() -> None:
    classes = tree()
    assert set(KINDS) == set(classes)
    codes = [cls.code for cls in classes] + list(EDGE_KINDS)
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z][a-z_]*", code) for code in codes)


def test_the_drawn_tree_is_the_real_tree() -> None:
    drawing = [line[4:] for line in (errors.__doc__ or "").splitlines() if re.match(r"    [A-Z│├└]", line)]
    assert [_split(line) for line in drawing] == drawn_tree(errors.StudioError)


def _split(line: str) -> tuple[str, str]:
    match = re.match(r"(?P<name>[ │├└─]*\w+)\s+(?P<code>[a-z_]+)", line)
    assert match, line
    return match["name"], match["code"]


def test_each_error_is_answered_with_its_status() -> None:
    for cls in tree():
        response = answer(cls("said so."), scope=_scope())
        assert response.status_code == KINDS[cls].status
        assert response.headers["content-type"] == "application/problem+json"


def _scope() -> dict[str, object]:
    return {"type": "http", "path": "/x", "method": "GET", "state": {"request_id": "r"}, "headers": []}


def test_a_problem_says_everything(client: TestClient) -> None:
    response = client.get("/trouble/field", headers={"X-Request-ID": "mine"})
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert response.json() == {
        "type": "/docs/problems#invalid_input",
        "title": "What was asked for cannot be",
        "status": 422,
        "detail": "tempo must be between 20 and 300 BPM.",
        "code": "invalid_input",
        "instance": "/trouble/field",
        "request_id": "mine",
        "field": "tempo",
        "errors": [],
    }


def test_what_may_pass_says_when_to_try_again(client: TestClient) -> None:
    response = client.get("/trouble/later")
    assert (response.status_code, response.headers["retry-after"]) == (503, "2")


def test_a_range_beyond_the_end_says_where_the_end_is(client: TestClient) -> None:
    response = client.get("/trouble/range")
    assert (response.status_code, response.headers["content-range"]) == (416, "bytes */100")


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("locked", 503, "database_busy"),
        ("full", 507, "storage_full"),
        ("disk", 507, "storage_full"),
        ("readonly", 503, "storage_failed"),
    ],
)
def test_errors_of_database_and_disk_are_understood(
    client: TestClient, name: str, status: int, code: str
) -> None:
    response = client.get(f"/trouble/{name}")
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert "secret" not in response.text


def test_an_unforeseen_error_tells_the_log_everything_and_the_client_nothing() -> None:
    # a client that would raise what the application raises: nothing may get out
    client = TestClient(make_app(), base_url="http://localhost")
    merge = structlog.contextvars.merge_contextvars
    with capture_logs(processors=[merge]) as lines:
        response = client.get("/trouble/bug", headers={"X-Request-ID": "abc"})
    assert response.status_code == 500
    problem = response.json()
    assert (problem["code"], problem["request_id"]) == ("internal_error", "abc")
    assert "42" not in response.text
    assert "Zero" not in response.text
    logged = next(line for line in lines if line["event"] == "request failed")
    assert isinstance(logged["exc_info"], ZeroDivisionError)
    assert logged["request_id"] == "abc"
    assert response.headers["x-content-type-options"] == "nosniff"


def test_an_unknown_path_is_not_an_unknown_id(client: TestClient) -> None:
    assert client.get("/promts").json()["code"] == "path_not_found"
    assert client.get("/trouble/missing").json()["code"] == "not_found"


def test_a_refused_method_names_all_that_work(client: TestClient) -> None:
    response = client.put("/prompts/7", json={})
    assert response.status_code == 405
    assert response.headers["allow"] == "DELETE, GET, HEAD"
    assert "PUT does not work at /prompts/7" in response.json()["detail"]
    assert client.delete("/prompts").headers["allow"] == "GET, HEAD, POST"


def test_strange_characters_never_break_an_answer(client: TestClient) -> None:
    response = client.get("/trouble/surrogate")
    assert response.status_code == 422
    assert response.json()["field"] == "��"
    path = "/%ff%00" + "x" * 5000
    assert len(client.get(path).json()["instance"]) == 500
