"""OpenAPI as it is: with the problems that every operation can answer, and always in the same order."""

import json
from typing import Any, Final

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from text2song.wire import FieldProblem, Problem, problem_response

_PROBLEM_COMPONENTS: Final = "#/components/schemas/{model}"


def openapi_document(app: FastAPI) -> str:
    """The text of `docs/reference/openapi.json`: the same bytes for the same API."""
    return json.dumps(app.openapi(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def add_problems(document: dict[str, Any]) -> None:
    """Complete FastAPI's document in place; a second time changes nothing.

    FastAPI knows only what routes declare. Reading and checking a request can fail on every route, and
    `default` stands for what can always happen (a foreign host, a full disk, an error of ours).
    """
    _, definitions = models_json_schema(
        [(Problem, "serialization"), (FieldProblem, "serialization")], ref_template=_PROBLEM_COMPONENTS
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(definitions["$defs"])
    for path in document["paths"].values():
        for operation in path.values():
            responses: dict[str, Any] = operation["responses"]
            for status, description in _problems_of(operation).items():
                responses.setdefault(status, problem_response(description))


def restore_nulls(document: dict[str, Any]) -> None:
    """Give the examples of the schemas their nulls back, in place; a second time changes nothing.

    FastAPI drops every null of the document, and with it the required fields of an example that have
    nothing to say.
    """
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        if "examples" in schema:
            schema["examples"] = [_restored(example, schema, schemas) for example in schema["examples"]]


def _restored(value: Any, schema: dict[str, Any], schemas: dict[str, Any]) -> Any:  # noqa: ANN401  # JSON
    meant = _meant(schema, schemas)
    if isinstance(value, list):
        return [_restored(item, meant.get("items", {}), schemas) for item in value]
    if not isinstance(value, dict) or "properties" not in meant:
        return value
    dropped = {name: None for name in meant.get("required", ()) if name not in value}
    told = {name: _restored(item, meant["properties"].get(name, {}), schemas) for name, item in value.items()}
    return told | dropped


def _meant(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """What a schema says of a value that is not null."""
    options = [option for option in schema.get("anyOf", ()) if option.get("type") != "null"]
    one = options[0] if len(options) == 1 else schema
    found: dict[str, Any] = schemas[one["$ref"].rpartition("/")[2]] if "$ref" in one else one
    return found


def _problems_of(operation: dict[str, Any]) -> dict[str, str]:
    problems = {"default": "Any other problem"}
    if "requestBody" in operation:
        problems["400"] = "The body is not JSON"
        problems["413"] = "The body is over the limit"
        problems["415"] = "The body does not say that it is JSON"
    if "requestBody" in operation or operation.get("parameters"):
        problems["422"] = "A value cannot be"
    return problems
