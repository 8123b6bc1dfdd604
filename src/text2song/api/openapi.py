"""OpenAPI as it is: with the problems that every operation can answer, and always in the same order."""

import json
from collections.abc import Collection
from typing import Any, Final

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic.json_schema import models_json_schema

from text2song.api.login import CSRF_HEADER, SESSION_COOKIE
from text2song.units import visit_of
from text2song.wire import FieldProblem, Problem, problem_response

SECURITY_SCHEMES: Final = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key of this studio, which begins with `t2s_`.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": SESSION_COOKIE,
        "description": "Of a browser that `POST /session` has signed in. What changes something needs the "
        f"header `{CSRF_HEADER}` too, with the token that `GET /session` tells.",
    },
}
_LOGIN: Final[list[dict[str, list[str]]]] = [{}, {"key": []}, {"session": []}]
"""Either of them, or nothing on a machine of one's own."""
_LOGIN_PROBLEMS: Final = {
    "401": "Nobody is logged in, or with a key that is no longer good",
    "403": "Role or key do not allow it",
    "429": "Too many requests",
}
_BOUNDS: Final = {"ge": "minimum", "le": "maximum", "gt": "exclusiveMinimum", "lt": "exclusiveMaximum"}
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


def add_login(document: dict[str, Any], guarded: Collection[tuple[str, str]]) -> None:
    """Say what must be sent to be let in by the operations in `guarded`; a second time changes nothing."""
    if guarded:
        document["components"]["securitySchemes"] = SECURITY_SCHEMES
    for method, path in guarded:
        operation = document["paths"].get(path, {}).get(method, {"responses": {}})
        operation["security"] = _LOGIN
        for status, description in _LOGIN_PROBLEMS.items():
            operation["responses"].setdefault(status, problem_response(description))


def guarded_operations(app: FastAPI) -> frozenset[tuple[str, str]]:
    """Method and path of every operation that looks who asks: whatever opens a unit."""
    return frozenset(
        (method.lower(), context.path_format or "")
        for context in iter_route_contexts(app.routes)
        if isinstance(context.original_route, APIRoute) and _looks_who_asks(context.original_route.dependant)
        for method in context.methods or ()
    )


def _looks_who_asks(dependant: Dependant) -> bool:
    return dependant.call is visit_of or any(map(_looks_who_asks, dependant.dependencies))


def restore_nulls(document: dict[str, Any]) -> None:
    """Give the examples of the schemas their nulls back, in place; a second time changes nothing.

    FastAPI drops every null of the document, and with it the required fields of an example that have
    nothing to say.
    """
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        if "examples" in schema:
            schema["examples"] = [_restored(example, schema, schemas) for example in schema["examples"]]


def restore_bounds(document: dict[str, Any]) -> None:
    """Say the bounds of numbers in JSON Schema's words, in place; a second time changes nothing.

    Where a validator stands before a number, pydantic writes the words of its own, which no client knows.
    """
    _rename(document["components"]["schemas"])


def _rename(node: Any) -> None:  # noqa: ANN401  # JSON
    if isinstance(node, dict):
        if "type" in node:
            for own, standard in _BOUNDS.items():
                if own in node:
                    node[standard] = node.pop(own)
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            _rename(child)


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
