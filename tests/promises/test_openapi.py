"""The OpenAPI document that is checked in is the API's own, and shows everything by example."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from text2song.api import reference

CHECKED_IN = Path(__file__).parents[2] / "docs" / "reference" / reference.FILE_NAME
REMEDY = "run `.venv/bin/python -m text2song.api.reference docs/reference` and look at the diff"
JSON = "application/json"


@pytest.fixture(scope="module", name="document")
def make_document() -> dict[str, Any]:
    written: dict[str, Any] = json.loads(reference.document())
    return written


def test_the_file_is_what_the_api_says_of_itself() -> None:
    assert CHECKED_IN.exists(), REMEDY
    assert CHECKED_IN.read_text(encoding="utf-8") == reference.document(), f"the API has changed: {REMEDY}"


def test_the_file_is_written_where_it_is_wanted(tmp_path: Path) -> None:
    assert reference.write(tmp_path / "new").read_text(encoding="utf-8") == reference.document()


def test_a_running_studio_says_the_same(document: dict[str, Any], desk: Any) -> None:  # noqa: ANN401  # a Desk
    assert desk.client.get("/openapi.json").json() == document


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def named(schema: dict[str, Any]) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def bodies(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Where a JSON body is sent or answered, the name of its schema, and its entry."""
    for name, operation in operations(document):
        answers = {f"{name} {status}": answer for status, answer in operation["responses"].items()}
        for place, holder in ({name: operation.get("requestBody", {})} | answers).items():
            entry = holder.get("content", {}).get(JSON)
            if entry:
                yield place, named(entry["schema"]), entry


def checker(document: dict[str, Any], name: str) -> jsonschema_rs.Validator:
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


def test_every_body_is_shown_by_an_example(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    without = []
    for place, name, entry in bodies(document):
        shown = named(schemas[name]["properties"]["items"]["items"]) if name.startswith("Page_") else name
        properties = schemas[shown]["properties"].values()
        by_fields = all("examples" in field or "default" in field for field in properties)
        if not (entry.get("examples") or schemas[shown].get("examples") or by_fields):
            without.append(place)
    assert without == ["GET /readyz 200"]  # a list of two words


def test_every_example_is_what_its_schema_allows(document: dict[str, Any]) -> None:
    checked = 0
    for _, name, entry in bodies(document):
        examples = document["components"]["schemas"][name].get("examples", [])
        examples += [example["value"] for example in entry.get("examples", {}).values()]
        for example in examples:
            checker(document, name).validate(example)
            checked += 1
    assert checked >= 12


def test_nulls_are_shown_as_nulls(document: dict[str, Any]) -> None:
    job = document["components"]["schemas"]["JobOut"]["examples"][0]
    assert (job["position"], job["error"], job["takes"][0]["error"]) == (None, None, None)
    assert document["components"]["schemas"]["Cancelled"]["examples"][0]["job"]["finished_at"] is None


def test_an_example_that_lies_would_be_found(document: dict[str, Any]) -> None:
    prompt = document["components"]["schemas"]["PromptOut"]["examples"][0]
    with pytest.raises(jsonschema_rs.ValidationError, match="uuid"):
        checker(document, "PromptOut").validate(prompt | {"id": "seven"})
    with pytest.raises(jsonschema_rs.ValidationError, match="sentence"):
        checker(document, "PromptOut").validate({k: v for k, v in prompt.items() if k != "sentence"})


def test_every_list_has_pages(document: dict[str, Any]) -> None:
    lists = {}
    for name, operation in operations(document):
        schema = operation["responses"].get("200", {}).get("content", {}).get(JSON, {}).get("schema", {})
        if named({"$ref": ""} | schema).startswith("Page_"):
            lists[name] = {parameter["name"] for parameter in operation["parameters"]}
    of_people = {"GET /users", "GET /keys", "GET /audit"}
    assert set(lists) == {"GET /prompts", "GET /generate", "GET /audio", "GET /models"} | of_people
    assert all({"limit", "cursor"} <= parameters for parameters in lists.values())


def test_every_operation_and_parameter_says_what_it_is_for(document: dict[str, Any]) -> None:
    silent = [name for name, operation in operations(document) if not operation.get("description")]
    assert silent == ["GET /healthz", "GET /readyz"]  # their summaries ask the question


def test_every_field_says_what_it_holds(document: dict[str, Any]) -> None:
    silent = [
        f"{name}.{field}"
        for name, schema in document["components"]["schemas"].items()
        for field, told in schema.get("properties", {}).items()
        for option in [told, *told.get("anyOf", ())]
        if option.get("additionalProperties") is True
    ]
    assert silent == []
