from typing import Any

import pytest
from sqlalchemy import event

from tests.studios import Desk

NOBODY_HAS_THIS_ID = "0198c0de-0000-7000-8000-000000000000"


def create(desk: Desk, text: str, **attributes: object) -> dict[str, Any]:
    answer = desk.client.post("/prompts", json={"text": text, "attributes": attributes})
    assert answer.status_code == 201, answer.text
    prompt: dict[str, Any] = answer.json()
    return prompt


def test_a_prompt_is_stored_and_read_back(desk: Desk) -> None:
    attributes = {
        "style": "lo-fi",
        "tempo": 84.5,
        "instrumentation": ["piano", "brushed drums"],
        "mood": "mellow",
        "duration": 8.0,
    }
    answer = desk.client.post("/prompts", json={"text": "a slow walk home", "attributes": attributes})
    assert answer.status_code == 201
    prompt = answer.json()
    assert answer.headers["location"] == f"/prompts/{prompt['id']}"
    assert desk.client.get(answer.headers["location"]).json() == prompt
    assert prompt == {
        "id": prompt["id"],
        "text": "a slow walk home",
        "attributes": attributes,
        "sentence": "a slow walk home, lo-fi, mellow, piano and brushed drums, 84.5 bpm",
        "created_at": "2026-01-01T12:00:00Z",
        "user_id": None,
        "visibility": "private",
    }


def test_attributes_that_nobody_gave_are_null(desk: Desk) -> None:
    nothing: dict[str, object] = {
        "style": None,
        "tempo": None,
        "instrumentation": [],
        "mood": None,
        "duration": None,
    }
    assert desk.client.post("/prompts", json={"text": "rain"}).json()["attributes"] == nothing
    assert create(desk, "rain", tempo=None)["attributes"] == nothing


def test_text_is_one_line_without_loose_space(desk: Desk) -> None:
    prompt = create(desk, "  a slow\n\n walk \thome ", style="  deep   house ", instrumentation=[" piano "])
    assert prompt["text"] == "a slow walk home"
    assert prompt["attributes"]["style"] == "deep house"
    assert prompt["attributes"]["instrumentation"] == ["piano"]


@pytest.mark.parametrize("text", ["静かな雨", "پیانو می‌نوازد", "👩‍🎤 sings", "naïve ♪", "x" * 2000])
def test_every_script_is_welcome(shared_desk: Desk, text: str) -> None:
    prompt = create(shared_desk, text)
    assert prompt["text"] == prompt["sentence"] == text
    assert shared_desk.client.get(f"/prompts/{prompt['id']}").json() == prompt


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"text": ""}, "text"),
        ({"text": "\u3000 "}, "text"),
        ({"text": "\u200d\u3164 \u2800"}, "text"),
        ({"text": "x" * 2001}, "text"),
        ({"text": "x", "attributes": {"tempo": -3}}, "attributes.tempo"),
        ({"text": "x", "attributes": {"tempo": 301}}, "attributes.tempo"),
        ({"text": "x", "attributes": {"mood": "\t"}}, "attributes.mood"),
        ({"text": "x", "attributes": {"duration": 0.4}}, "attributes.duration"),
        ({"text": "x", "attributes": {"instrumentation": ["piano", " "]}}, "attributes.instrumentation.1"),
        ({"text": "x", "attributes": {"key": "C minor"}}, "attributes.key"),
        ({"text": "x", "user_id": NOBODY_HAS_THIS_ID}, "user_id"),
        ({}, "text"),
    ],
)
def test_bad_prompts_are_named_and_not_stored(shared_desk: Desk, body: object, field: str) -> None:
    before = shared_desk.client.get("/prompts").json()
    answer = shared_desk.client.post("/prompts", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert answer.json()["field"] == field
    assert shared_desk.client.get("/prompts").json() == before


def test_every_fault_is_told_at_once(shared_desk: Desk) -> None:
    body = {"text": " ", "attributes": {"tempo": -3, "style": "\n"}, "title": "x"}
    told = shared_desk.client.post("/prompts", json=body).json()
    fields = {error["field"] for error in told["errors"]}
    assert fields == {"text", "attributes.tempo", "attributes.style", "title"}


@pytest.fixture(scope="module", name="found")
def make_prompts(shared_desk: Desk) -> Any:  # noqa: ANN401  # a function with optional arguments
    texts: dict[str, dict[str, object]] = {
        "Warm lo-fi with a lazy piano": {"mood": "Mellow"},
        "Piano, 100% alone": {},
        "under_score": {},
        "underXscore": {},
        "1/2 time march": {"tempo": 120},
        "ÉTUDE pour la STRASSE": {},
        "étude in the old spelling": {},
        "雨の夜のピアノ": {"instrumentation": ["koto"]},
        "back\\slash": {},
    }
    for text, attributes in texts.items():
        create(shared_desk, text, **attributes)

    def found(query: str) -> list[str]:
        answer = shared_desk.client.get("/prompts", params={"q": query, "limit": 200})
        assert answer.status_code == 200
        return [prompt["text"] for prompt in answer.json()["items"] if prompt["text"] in texts]

    return found


@pytest.mark.parametrize(
    ("query", "texts"),
    [
        ("piano", ["Piano, 100% alone", "Warm lo-fi with a lazy piano"]),
        ("PIANO lazy", ["Warm lo-fi with a lazy piano"]),
        ("lazy  Piano", ["Warm lo-fi with a lazy piano"]),
        ("lazy march", []),
        ("mellow", ["Warm lo-fi with a lazy piano"]),
        ("120 bpm", ["1/2 time march"]),
        ("koto 雨", ["雨の夜のピアノ"]),
        ("夜", ["雨の夜のピアノ"]),
        ("100%", ["Piano, 100% alone"]),
        ("%", ["Piano, 100% alone"]),
        ("under_score", ["under_score"]),
        ("1/2", ["1/2 time march"]),
        ("back\\slash", ["back\\slash"]),
        ("étude", ["étude in the old spelling", "ÉTUDE pour la STRASSE"]),
        ("e\u0301tude", ["étude in the old spelling", "ÉTUDE pour la STRASSE"]),
        ("straße", ["ÉTUDE pour la STRASSE"]),
        ("' OR 1=1 --", []),
    ],
)
def test_the_filter_finds_all_words_in_any_order_and_case(found: Any, query: str, texts: list[str]) -> None:  # noqa: ANN401
    assert found(query) == texts


def test_an_empty_filter_hides_nothing(found: Any) -> None:  # noqa: ANN401  # as above
    assert len(found("")) == len(found("  ")) == 9


def test_pages_neither_skip_nor_repeat_while_prompts_are_added(desk: Desk) -> None:
    known = [create(desk, f"walk {number}")["id"] for number in range(7)]
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2, "q": "walk"}
    while True:
        page = desk.client.get("/prompts", params=query).json()
        assert len(page["items"]) <= 2
        seen += [prompt["id"] for prompt in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
        create(desk, "walk on")
        desk.client.delete(f"/prompts/{seen[-1]}")  # also the very prompt that the cursor names
    assert seen == known[::-1]


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("cursor=nonsense", 400, "cursor"),
        ("cursor=AAAA", 400, "cursor"),
        ("limit=0", 422, "limit"),
        ("limit=1000", 422, "limit"),
        ("limit=1.5", 422, "limit"),
        ("q=" + "x" * 201, 422, "q"),
        ("q=piano%00", 422, "q"),
    ],
)
def test_bad_queries_are_named(shared_desk: Desk, query: str, status: int, field: str) -> None:
    answer = shared_desk.client.get(f"/prompts?{query}")
    assert (answer.status_code, answer.json()["field"]) == (status, field)
    assert answer.json()["code"] == ("invalid_cursor" if field == "cursor" else "invalid_input")


def test_a_prompt_that_nothing_needs_is_deleted(desk: Desk) -> None:
    prompt = create(desk, "rain")
    answer = desk.client.delete(f"/prompts/{prompt['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert desk.client.get("/prompts").json() == {"items": [], "next_cursor": None}
    assert desk.client.delete(f"/prompts/{prompt['id']}").status_code == 404


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_unknown_prompts_are_not_found(shared_desk: Desk, method: str) -> None:
    answer = shared_desk.client.request(method, f"/prompts/{NOBODY_HAS_THIS_ID}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "GET /prompts lists" in answer.json()["detail"]
    assert shared_desk.client.request(method, "/prompts/7").json()["field"] == "prompt_id"


def test_one_query_lists_them_all(desk: Desk) -> None:
    for number in range(20):
        create(desk, f"walk {number}")
    statements: list[str] = []

    def count(_c: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(desk.studio.engine, "before_cursor_execute", count)
    assert len(desk.client.get("/prompts?q=walk").json()["items"]) == 20
    event.remove(desk.studio.engine, "before_cursor_execute", count)
    asked = [statement for statement in statements if statement.startswith("SELECT")]
    assert ["FROM users" in statement for statement in asked] == [True, False]  # who asks, and what they see
