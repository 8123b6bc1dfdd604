import json
import time

import pytest
from fastapi.testclient import TestClient

from tests.api.edge import Written, make_app, make_client
from tests.studios import Desk

JSON = {"Content-Type": "application/json"}


@pytest.fixture(name="written")
def make_written() -> Written:
    return Written()


@pytest.fixture(name="client")
def make_edge_client(written: Written) -> TestClient:
    return make_client(make_app(written=written))


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ('{"text": "rain", "text": "snow"}', "text"),
        ('{"text": "rain", "takes": 1, "text": "rain"}', "text"),  # the same value is no excuse
        ('{"text": "rain", "attributes": {"tempo": 84, "tempo": 90}}', "tempo"),
        ('{"text": "rain", "te\\u0078t": "snow"}', "text"),
        ('{"text": "rain", "x": [{"a\\n": 1, "a\\n": 2}]}', "a\ufffd"),
    ],
)
@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/problem+json; charset=utf-8",
        "Application/JSON",
        "application/vnd.x+JSON",
        "APPLICATION/JSON;charset=utf-8",
    ],
)
def test_a_name_that_stands_twice_in_an_object_is_refused(
    client: TestClient, written: Written, body: str, name: str, content_type: str
) -> None:
    answer = client.post("/prompts", content=body, headers={"Content-Type": content_type})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert answer.json()["field"] == name
    assert answer.json()["detail"].startswith(f"{name} stands twice")
    assert written.prompts == []


def test_the_same_name_in_two_objects_is_no_doubling(client: TestClient) -> None:
    body = '{"text": "rain", "attributes": {"instrumentation": ["text", "text"], "tempo": 84}}'
    assert client.post("/prompts", content=body, headers=JSON).status_code == 201


@pytest.mark.parametrize(("body", "code"), [("{", "malformed_request"), ("[" * 100_000, "malformed_request")])
def test_what_is_no_json_is_told_as_before(client: TestClient, body: str, code: str) -> None:
    assert client.post("/prompts", content=body, headers=JSON).json()["code"] == code


@pytest.mark.parametrize("body", ["", "{", '{"a": 1}'])
def test_where_no_body_is_wanted_none_is_minded(client: TestClient, body: str) -> None:
    assert client.post("/prompts/7/copy", content=body, headers=JSON).status_code == 201


def test_a_megabyte_of_names_takes_no_longer_than_it_must(client: TestClient) -> None:
    names = [f'"k{number}": 0' for number in range(60_000)]
    body = "{" + ", ".join([*names, names[-1]]) + "}"
    began = time.monotonic()
    answer = client.post("/prompts", content=body, headers=JSON)
    assert answer.json()["field"] == "k59999"
    assert time.monotonic() - began < 10  # name by name against all others: minutes
    assert len(json.dumps(answer.json())) < 1000


@pytest.mark.parametrize("second", ["two", "one"])
def test_a_job_has_one_key(desk: Desk, second: str) -> None:
    keys = [("Idempotency-Key", "one"), ("idempotency-key", second)]
    answer = desk.client.post("/generate", json={"prompt": {"text": "rain"}}, headers=keys)
    assert (answer.status_code, answer.json()["field"]) == (422, "idempotency-key")
    assert "given twice" in answer.json()["detail"]
    assert desk.client.get("/generate").json()["items"] == []
