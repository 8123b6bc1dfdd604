"""Ids in requests: one form, wherever an id can stand."""

from typing import Any

import pytest

from tests.studios import Desk
from text2song.wire import IDS_PATTERN

ID = "0198c0de-0000-7000-8000-00000000000a"
OTHER_FORMS = {
    "braces": f"{{{ID}}}",
    "urn": f"urn:uuid:{ID}",
    "no hyphens": ID.replace("-", ""),
    "space": f" {ID}",
    "line": f"{ID}\n",
    "other digits": ID.replace("1", "\u0661"),
    "hyphens elsewhere": ID.replace("-", "", 1) + "-",
}
BODIES: dict[tuple[str, str], dict[str, str]] = {
    ("patch", "/prompts/{prompt_id}"): {"visibility": "shared"},
    ("patch", "/users/{user_id}"): {},
}
"""What goes with an id, where it is not asked for alone."""


def places(desk: Desk) -> list[tuple[str, str, str]]:
    """Every operation that takes an id in its path or its query: method, path, parameter."""
    document: dict[str, Any] = desk.client.get("/openapi.json").json()
    found = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for parameter in operation.get("parameters", ()):
                schema = parameter["schema"]
                options = [schema, *schema.get("anyOf", ())]
                if any(o.get("format") == "uuid" or o.get("pattern") == IDS_PATTERN for o in options):
                    found.append((method, path, parameter["name"]))
    return found


def ask(desk: Desk, method: str, path: str, name: str, value: str) -> Any:  # noqa: ANN401  # httpx's answer
    body = BODIES.get((method, path))
    if f"{{{name}}}" in path:
        return desk.client.request(method, path.replace(f"{{{name}}}", value.replace("\n", "%0A")), json=body)
    return desk.client.request(method, path, params={name: value}, json=body)


def test_there_are_places_to_try(shared_desk: Desk) -> None:
    found = places(shared_desk)
    assert {name for _, _, name in found} >= {"job_id", "audio_id", "prompt_id", "adapter_id", "ids"}
    assert len(found) > 12


@pytest.mark.parametrize("form", OTHER_FORMS)
def test_other_forms_of_an_id_are_refused_in_paths_and_queries(shared_desk: Desk, form: str) -> None:
    for method, path, name in places(shared_desk):
        answer = ask(shared_desk, method, path, name, OTHER_FORMS[form])
        assert (answer.status_code, answer.json()["field"]) == (422, name), (path, answer.text)
        assert "id" in answer.json()["detail"]
        for value in (ID, ID.upper()):
            assert ask(shared_desk, method, path, name, value).status_code in {200, 404}, path


@pytest.mark.parametrize("form", OTHER_FORMS)
@pytest.mark.parametrize("field", ["prompt_id", "from_sample", "adapter_id"])
def test_other_forms_of_an_id_are_refused_in_bodies(shared_desk: Desk, form: str, field: str) -> None:
    prompt = {"prompt": {"text": "rain"}} if field == "adapter_id" else {}
    told = shared_desk.client.post("/generate", json={**prompt, field: OTHER_FORMS[form]}).json()
    assert (told["status"], told["field"]) == (422, field)
    assert "must be an id, such as" in told["detail"]


def test_several_ids_have_commas_between_and_no_space(shared_desk: Desk) -> None:
    for path in ("/generate", "/audio/compare"):
        for ids, status in ((f"{ID},{ID.upper()[:-1]}B", 404), (f"{ID}, {ID}", 422), (f"{ID},", 422)):
            assert shared_desk.client.get(path, params={"ids": ids}).status_code == status
