import json

import httpx2
import pytest
from starlette.testclient import TestClient

from tests.api.edge import Written, make_app, make_client
from text2song.api.validation import FAULT_LIMIT


@pytest.fixture(name="client")
def make_prompt_client() -> TestClient:
    return make_client(make_app())


def post(client: TestClient, body: bytes, *, content_type: str = "application/json") -> httpx2.Response:
    return client.post("/prompts", content=body, headers={"Content-Type": content_type})


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ("{}", "text", "is missing"),
        ('{"text": 3}', "text", "must be text"),
        ('{"text": "a", "tetx": "b"}', "tetx", "check its spelling"),
        ('{"text": "a", "attributes": {"tempo": "fast"}}', "attributes.tempo", "without quotation marks"),
        ('{"text": "a", "attributes": {"tempo": NaN}}', "attributes.tempo", "NaN and Infinity are none"),
        (
            '{"text": "a", "attributes": {"tempo": -Infinity}}',
            "attributes.tempo",
            "NaN and Infinity are none",
        ),
        ('{"text": "a", "attributes": {"tempo": true}}', "attributes.tempo", "without quotation marks"),
        ('{"text": "a", "attributes": {"instrumentation": [1]}}', "attributes.instrumentation.0", "text"),
        ('{"text": "a", "attributes": {"instrumentation": "piano"}}', "attributes.instrumentation", "a list"),
        ('{"text": "a", "attributes": 3}', "attributes", "must be an object"),
        ('{"text": "a", "takes": 1.5}', "takes", "must be a whole number"),
        ('{"text": "a", "takes": NaN}', "takes", "NaN and Infinity are none"),
        ('{"text": "' + "a" * 41 + '"}', "text", "the limit is 40 characters"),
        ('{"text": "\\ud800"}', "text", "not valid Unicode"),
        ("[]", "body", "must be an object"),
        ("null", "body", "must be an object"),
        ("", "body", "is missing"),
    ],
)
def test_a_fault_is_named_in_plain_words(client: TestClient, body: str, field: str, words: str) -> None:
    response = post(client, body.encode())
    assert response.status_code == 422
    problem = response.json()
    assert (problem["code"], problem["field"]) == ("invalid_input", field)
    assert words in problem["errors"][0]["message"]
    assert problem["detail"].startswith(field)


def test_faults_outside_of_the_body_are_named_too(client: TestClient) -> None:
    assert client.get("/prompts?limit=x").json()["field"] == "limit"
    assert client.get("/prompts/x").json()["field"] == "number"


def test_several_faults_are_all_listed(client: TestClient) -> None:
    problem = post(client, b'{"takes": 1.5, "attributes": {"tempo": []}}').json()
    assert [fault["field"] for fault in problem["errors"]] == ["text", "attributes.tempo", "takes"]
    assert problem["detail"] == "text is missing (2 more faults in `errors`)."


def test_nothing_that_was_sent_comes_back(client: TestClient) -> None:
    body = {"text": ["secret"] * 1000, "attributes": {"instrumentation": [1] * 10_000}, "x" * 90_000: 1}
    response = post(client, json.dumps(body).encode())
    assert response.status_code == 422
    assert "secret" not in response.text
    assert len(response.json()["errors"]) == FAULT_LIMIT
    assert len(response.content) < 5_000


def test_an_unknown_field_with_a_hostile_name_is_answered(client: TestClient) -> None:
    response = post(client, b'{"text": "a", "\\u0000\\n": 1}')
    assert response.status_code == 422
    assert response.json()["field"] == "\N{REPLACEMENT CHARACTER}" * 2
    assert post(client, b'{"text": "a", "\\ud800": 1}').status_code == 422


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"text": ', "not valid JSON"),
        (b"{'text': 'a'}", "at character 2"),
        (b'{"text": "\xff\xfe"}', "not valid UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"text": ' + b"9" * 5000 + b"}", "too many digits"),
    ],
)
def test_what_is_not_json_cannot_be_read(client: TestClient, body: bytes, words: str) -> None:
    response = post(client, body)
    assert (response.status_code, response.json()["code"]) == (400, "malformed_request")
    assert words in response.json()["detail"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "", "\x7f"])
def test_json_must_say_that_it_is_json(content_type: str) -> None:
    written = Written()
    response = post(make_client(make_app(written=written)), b'{"text": "a"}', content_type=content_type)
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")
    assert "Content-Type: application/json" in response.json()["detail"]
    assert written.prompts == []


def test_huge_numbers_are_refused_as_numbers(client: TestClient) -> None:
    response = post(client, b'{"text": "a", "attributes": {"tempo": ' + b"9" * 400 + b"}}")
    assert (response.status_code, response.json()["field"]) == (422, "attributes.tempo")
    assert post(client, b'{"text": "a", "attributes": {"tempo": 1e999}}').status_code == 422
