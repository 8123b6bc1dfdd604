"""Bad input is named, with what to do about it, and leaves nothing behind."""

import json

import pytest
from sqlalchemy import func, select

from tests.studios import Desk
from text2song.generation.tables import GenerationJob
from text2song.names import NOISE_MODEL
from text2song.prompts.tables import Prompt

NOBODY_HAS_THIS_ID = "0198c0de-0000-7000-8000-000000000000"
WALK = {"text": "a slow walk home"}
JSON = {"Content-Type": "application/json"}


def walk(**more: object) -> dict[str, object]:
    return {"prompt": WALK, **more}


def described(**attributes: object) -> dict[str, object]:
    return {"prompt": {**WALK, "attributes": attributes}}


def drawn(**params: object) -> dict[str, object]:
    return walk(generation_params=params)


def rows(desk: Desk) -> int:
    with desk.studio.read() as reader:
        counts = (select(func.count()).select_from(table) for table in (Prompt, GenerationJob))
        return sum(reader.session.scalar(count) or 0 for count in counts)


BAD: list[tuple[object, str, str]] = [
    # what is sent, the field that is named, words that tell what to do
    ({}, "body", "either prompt_id or prompt"),
    ({"prompt": WALK, "prompt_id": NOBODY_HAS_THIS_ID}, "body", "either prompt_id or prompt"),
    ({"prompt": {"text": ""}}, "prompt.text", "needs 1 character"),
    ({"prompt": {"text": " \n\t "}}, "prompt.text", "write some words"),
    ({"prompt": {"text": "x" * 2001}}, "prompt.text", "limit is 2000 characters"),
    ({"prompt": {"text": "bell\x07"}}, "prompt.text", "cannot be printed"),
    ({"prompt": {"text": "\ud800"}}, "prompt.text", "Unicode"),
    ({"prompt": {"text": 7}}, "prompt.text", "must be text"),
    ({"prompt": "a slow walk home"}, "prompt", "object"),
    (described(tempo=-3), "prompt.attributes.tempo", "20.0 or more"),
    (described(tempo="84"), "prompt.attributes.tempo", "without quotation"),
    (described(tempo=True), "prompt.attributes.tempo", "must be a number"),
    (described(style="  "), "prompt.attributes.style", "write some words"),
    (described(mood="m" * 101), "prompt.attributes.mood", "limit is 100"),
    (described(instrumentation="piano"), "prompt.attributes.instrumentation", "list"),
    (
        described(instrumentation=["piano", ""]),
        "prompt.attributes.instrumentation.1",
        "needs 1 character",
    ),
    (
        described(instrumentation=["piano"] * 17),
        "prompt.attributes.instrumentation",
        "limit is 16",
    ),
    (described(tempi=84), "prompt.attributes.tempi", "check its spelling"),
    ({"prompt": {**WALK, "title": "x"}}, "prompt.title", "check its spelling"),
    (walk(samples=2), "samples", "check its spelling"),
    (drawn(steps=2), "generation_params.steps", "check its spelling"),
    (walk(sides=[[{"adapter": "a@1", "gain": 2}]]), "sides.0.0.gain", "check its spelling"),
    (described(duration=31), "prompt.attributes.duration", "at most 30 seconds"),
    (drawn(duration=31), "generation_params.duration", "at most 30 seconds"),
    (drawn(duration=301), "generation_params.duration", "at most 30 seconds"),
    (drawn(duration=0), "generation_params.duration", "0.5 or more"),
    (drawn(seed=-1), "generation_params.seed", "0 or more"),
    (drawn(seed=2**32), "generation_params.seed", "or less"),
    (drawn(seed="7"), "generation_params.seed", "without quotation"),
    (drawn(seed=7.5), "generation_params.seed", "whole number"),
    (drawn(temperature=0), "generation_params.temperature", "0.05 or more"),
    (drawn(top_k=-1), "generation_params.top_k", "0 or more"),
    (drawn(top_p=1.1), "generation_params.top_p", "1.0 or less"),
    (drawn(guidance_scale=0.5), "generation_params.guidance_scale", "1.0 or"),
    (walk(num_samples=0), "num_samples", "1 or more"),
    (walk(num_samples=17), "num_samples", "16 or less"),
    (walk(num_samples="2"), "num_samples", "without quotation"),
    ({"prompt": WALK, "num_samples": 16, "sides": [[]] * 5}, "body", "at most 64 takes"),
    (walk(priority=11), "priority", "10 or less"),
    (walk(priority=-11), "priority", "-10 or more"),
    (walk(sides=[]), "sides", "too few"),
    ({"prompt": WALK, "sides": [[]] * 9}, "sides", "limit is 8"),
    (walk(sides=[[{"adapter": "a@1"}] * 5]), "sides.0", "limit is 4"),
    (walk(sides=[[{"adapter": "cold@1.0.0"}]]), "sides.0.0.adapter", "name@version"),
    (walk(sides=[[{"adapter": "a@1", "weight": 5}]]), "sides.0.0.weight", "4.0 or less"),
    (walk(sides=[[{"adapter": "warm@1.2.0\0"}]]), "sides.0.0.adapter", "no NUL"),
    (walk(model="untrained-noise\0"), "model", "no NUL"),
    (walk(adapter_id=NOBODY_HAS_THIS_ID), "adapter_id", "there is no adapter"),
    (walk(adapter_id="warm"), "adapter_id", "must be an id"),
    ({"prompt": WALK, "adapter_id": NOBODY_HAS_THIS_ID, "sides": [[]]}, "body", "either adapter_id or sides"),
    ({"from_sample": NOBODY_HAS_THIS_ID, "num_samples": 2}, "body", "nothing beside from_sample"),
]


@pytest.mark.parametrize(("body", "field", "words"), BAD)
def test_bad_input_is_named_and_leaves_nothing_behind(
    shared_desk: Desk, body: object, field: str, words: str
) -> None:
    # not json=: httpx refuses lone surrogates
    answer = shared_desk.client.post("/generate", content=json.dumps(body), headers=JSON)
    told = answer.json()
    assert answer.status_code == 422, told
    assert answer.headers["content-type"] == "application/problem+json"
    assert (told["code"], told["field"]) == ("invalid_input", field), told
    assert words in told["detail"], told
    assert rows(shared_desk) == 0
    assert shared_desk.bells.rung == []


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("place", ["temperature", "duration", "guidance_scale", "top_p", "seed", "top_k"])
def test_numbers_that_are_none_are_refused(shared_desk: Desk, number: str, place: str) -> None:
    body = f'{{"prompt": {{"text": "x"}}, "generation_params": {{"{place}": {number}}}}}'
    answer = shared_desk.client.post("/generate", content=body, headers=JSON)
    assert answer.status_code == 422
    assert answer.json()["field"] == f"generation_params.{place}"
    assert "finite" in answer.json()["detail"]


@pytest.mark.parametrize("body", [{"prompt_id": NOBODY_HAS_THIS_ID}, {"from_sample": NOBODY_HAS_THIS_ID}])
def test_unknown_ids_are_not_found(shared_desk: Desk, body: dict[str, str]) -> None:
    answer = shared_desk.client.post("/generate", json=body)
    told = answer.json()
    assert (answer.status_code, told["code"]) == (404, "not_found")
    assert NOBODY_HAS_THIS_ID in told["detail"]
    assert "lists those there are" in told["detail"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/generate/{id}"),
        ("GET", "/generate?ids={id}"),
        ("GET", "/generate/{id}?wait=30"),
        ("DELETE", "/generate/{id}"),
        ("POST", "/generate/{id}/retry"),
    ],
)
def test_an_unknown_job_is_not_found_at_once(shared_desk: Desk, method: str, path: str) -> None:
    answer = shared_desk.client.request(method, path.format(id=NOBODY_HAS_THIS_ID))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "GET /generate" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("cursor=!", 400, "cursor"),
        ("cursor=abc", 400, "cursor"),
        ("cursor=", 400, "cursor"),
        ("limit=0", 422, "limit"),
        ("limit=201", 422, "limit"),
        ("limit=ten", 422, "limit"),
        ("status=lost", 422, "status"),
        ("prompt_id=7", 422, "prompt_id"),
        ("ids=", 422, "ids"),
        ("ids=7", 422, "ids"),
        (f"ids={NOBODY_HAS_THIS_ID},", 422, "ids"),
        ("ids=" + ",".join([NOBODY_HAS_THIS_ID] * 101), 422, "ids"),
        (f"ids={NOBODY_HAS_THIS_ID}&wait=-1", 422, "wait"),
        (f"ids={NOBODY_HAS_THIS_ID}&wait=61", 422, "wait"),
        (f"ids={NOBODY_HAS_THIS_ID}&wait=nan", 422, "wait"),
        (f"ids={NOBODY_HAS_THIS_ID}&wait=1&since=x", 422, "since"),
        (f"ids={NOBODY_HAS_THIS_ID}&wait=1&since=1,2", 422, "since"),
        (f"ids={NOBODY_HAS_THIS_ID}&status=queued", 422, "status"),
        (f"ids={NOBODY_HAS_THIS_ID}&prompt_id={NOBODY_HAS_THIS_ID}", 422, "prompt_id"),
        (f"ids={NOBODY_HAS_THIS_ID}&cursor=abc", 422, "cursor"),
        (f"ids={NOBODY_HAS_THIS_ID}&limit=50", 422, "limit"),
        ("wait=1", 422, "wait"),
        ("wait=0", 422, "wait"),
        ("since=1", 422, "since"),
        ("status=queued&since=1", 422, "since"),
    ],
)
def test_bad_queries_are_named(shared_desk: Desk, query: str, status: int, field: str) -> None:
    answer = shared_desk.client.get(f"/generate?{query}")
    assert (answer.status_code, answer.json()["field"]) == (status, field), answer.text


@pytest.mark.parametrize("limit", ["1_0", "%2B5", "+5", "%205", "5.0", "\u0665", ""])
def test_a_limit_is_written_in_digits_alone(desk: Desk, limit: str) -> None:
    answer = desk.client.get(f"/generate?limit={limit}")
    assert (answer.status_code, answer.json()["field"]) == (422, "limit")
    assert desk.client.get("/generate?limit=05").status_code == 200


@pytest.mark.parametrize("seconds", [31, 301, 1e308])
def test_a_duration_meets_one_limit_the_models_own(desk: Desk, seconds: float) -> None:
    body = {"prompt": {"text": "rain"}, "generation_params": {"duration": seconds}}
    told = desk.client.post("/generate", json=body).json()
    assert (told["code"], told["field"]) == ("invalid_input", "generation_params.duration")
    assert f"{NOISE_MODEL} makes at most 30 seconds" in told["detail"]
