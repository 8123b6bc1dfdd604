"""The whole OpenAPI document, fuzzed as an admin and as a rater against a real server with its worker.

Every check of schemathesis is on: no server error, no status, media type, header or body that is not
documented, nothing invalid accepted, no method that the document does not know.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case, Config

from tests.api.edge import serve
from tests.studios import Serving
from tests.users.people import add_person_with_key
from text2song.api import reference

REFUSED_BY_MEANING: Final = {
    "POST /prompts": "letters that cannot be printed",
    "POST /users": "letters that cannot be printed",
    "POST /keys": "letters that cannot be printed, a moment that is past",
    "POST /generate": "two fields that exclude each other, a model or an adapter that is not there",
    "POST /generate/{job_id}/retry": "a key that came with another request",
    "GET /generate": "other numbers of sequences and ids; filters with ids, or a wait without them",
    "GET /audio/compare": "the same id twice",
    "GET /audio/{audio_id}/stream": "a Range that is none",
}
"""Where a request may be refused with 422 although its schema allows it: no schema says that."""

ACCEPTED: Final = {"expected-statuses": ["2xx", "3xx", "403", "404", "409", "422"]}
CONFIG: Final = {
    "operations": [
        {"include-name": name, "checks": {"positive_data_acceptance": ACCEPTED}}
        for name in REFUSED_BY_MEANING
    ]
    # DELETE /audio/compare reads as DELETE /audio/{audio_id}: it is told that `compare` is no id
    + [{"include-name": "GET /audio/compare", "checks": {"unsupported_method": {"enabled": False}}}]
}
schema = schemathesis.openapi.from_dict(json.loads(reference.document()), config=Config.from_dict(CONFIG))


@pytest.fixture(scope="module", name="keys")
def make_keys(shared_serving: Serving) -> dict[str, str]:
    """Of an admin and a rater; from now on everybody has to log in."""
    studio = shared_serving.studio
    return {role: add_person_with_key(studio, f"the {role}", role=role).key for role in ("admin", "rater")}


@pytest.fixture(scope="module", name="url")
def make_url(shared_serving: Serving, keys: dict[str, str]) -> Iterator[str]:
    shared_serving.client.headers["Authorization"] = f"Bearer {keys['admin']}"
    with pytest.MonkeyPatch.context() as patch, serve(shared_serving.app) as port:
        patch.setattr(shared_serving.app.state.login.limits, "_requests_a_minute", 0)  # nobody is so quick
        yield f"http://127.0.0.1:{port}"


EXHAUSTIVE: Final = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,  # the same requests on every run
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],  # a failure is told as it is found
)


def ask(case: Case[Any], url: str, key: str) -> None:
    case.call_and_validate(base_url=url, headers={"Authorization": f"Bearer {key}"})


@schema.parametrize()
@settings(EXHAUSTIVE, max_examples=15)
def test_nothing_that_is_asked_finds_an_answer_that_is_not_documented(
    case: Case[Any], url: str, keys: dict[str, str]
) -> None:
    ask(case, url, keys["admin"])


@schema.parametrize()
@settings(EXHAUSTIVE, max_examples=5)
def test_nor_does_anything_that_a_rater_asks(case: Case[Any], url: str, keys: dict[str, str]) -> None:
    ask(case, url, keys["rater"])


@pytest.mark.proof
@pytest.mark.parametrize("role", ["admin", "rater"])
@schema.parametrize()
@settings(EXHAUSTIVE)
def test_nothing_that_is_asked_at_length_finds_one_either(
    case: Case[Any], url: str, keys: dict[str, str], role: str
) -> None:
    ask(case, url, keys[role])


@pytest.fixture(scope="module", name="ids")
def make_ids(shared_serving: Serving, url: str) -> dict[str, str]:
    assert url  # everybody is logged in by now
    job = shared_serving.make(num_samples=2)
    return {"job_id": job["id"], "audio_id": job["samples"][0]["id"], "prompt_id": job["prompt_id"]}


@pytest.mark.parametrize(
    ("path", "query", "headers", "status"),
    [
        ("/prompts/{prompt_id}", {}, {}, 200),
        ("/generate/{job_id}", {}, {}, 200),
        ("/generate/{job_id}", {"wait": 0.1, "since": 1}, {}, 200),
        ("/audio/{audio_id}", {}, {}, 200),
        ("/audio/{audio_id}/peaks", {}, {}, 200),
        ("/audio/{audio_id}/stream", {}, {}, 200),
        ("/audio/{audio_id}/stream", {}, {"Range": "bytes=0-99"}, 206),
        ("/audio/{audio_id}/stream", {}, {"Range": "bytes=0-9,20-29"}, 206),
        ("/audio/{audio_id}/stream", {}, {"Range": "bytes=99999999-"}, 416),
        ("/audio/{audio_id}/stream", {}, {"If-None-Match": "*"}, 304),
        ("/audio/{audio_id}/download", {"format": "flac"}, {}, 200),
        ("/audio/{audio_id}/download", {"format": "wav"}, {}, 200),
        ("/audio/{audio_id}/download", {"format": "mp3"}, {}, 200),
        ("/audio/{audio_id}/download", {"format": "ogg"}, {}, 200),
    ],
)
def test_what_is_there_is_answered_as_documented(
    url: str,
    keys: dict[str, str],
    ids: dict[str, str],
    path: str,
    query: dict[str, object],
    headers: dict[str, str],
    status: int,
) -> None:
    named = {name: value for name, value in ids.items() if f"{{{name}}}" in path}
    case = schema[path]["GET"].Case(path_parameters=named, query=query, headers=headers)
    answer = case.call(base_url=url, headers={"Authorization": f"Bearer {keys['admin']}"})
    assert answer.status_code == status
    case.validate_response(answer)


def test_the_ways_of_a_job_are_answered_as_documented(
    url: str, keys: dict[str, str], ids: dict[str, str]
) -> None:
    for path, method, named, status in (
        ("/generate/{job_id}", "DELETE", {"job_id": ids["job_id"]}, 200),
        ("/generate/{job_id}/retry", "POST", {"job_id": ids["job_id"]}, 409),
        ("/prompts/{prompt_id}", "DELETE", {"prompt_id": ids["prompt_id"]}, 409),
        ("/audio/{audio_id}", "DELETE", {"audio_id": ids["audio_id"]}, 204),
    ):
        case = schema[path][method].Case(path_parameters=named)
        answer = case.call(base_url=url, headers={"Authorization": f"Bearer {keys['admin']}"})
        assert answer.status_code == status
        case.validate_response(answer)
