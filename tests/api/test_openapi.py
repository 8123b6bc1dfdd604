import json

import pytest
from fastapi import APIRouter

from tests.api.edge import make_app
from text2song.api import reference
from text2song.api.openapi import add_problems, openapi_document
from text2song.wire import PROBLEM_SCHEMA_REF


def test_the_document_is_the_same_each_time() -> None:
    app = make_app()
    first = openapi_document(app)
    assert first == openapi_document(app) == openapi_document(make_app())
    assert first.endswith("}\n")
    assert json.loads(first)["openapi"].startswith("3.1")


def test_routes_that_come_later_are_documented_too() -> None:
    app = make_app()
    app.openapi()
    router = APIRouter()
    router.add_api_route("/late", lambda: None, name="read_late")
    app.include_router(router)
    assert "default" in app.openapi()["paths"]["/late"]["get"]["responses"]


def test_every_operation_tells_of_its_problems() -> None:
    document = make_app().openapi()
    assert {"Problem", "FieldProblem"} <= set(document["components"]["schemas"])
    for path in document["paths"].values():
        for operation in path.values():
            responses = operation["responses"]
            assert "default" in responses
            errors = {status: each for status, each in responses.items() if not status.startswith("2")}
            for response in errors.values():
                assert response["content"] == {
                    "application/problem+json": {"schema": {"$ref": PROBLEM_SCHEMA_REF}}
                }
    create = document["paths"]["/prompts"]["post"]["responses"]
    assert set(create) == {"201", "400", "413", "415", "422", "default"}
    assert set(document["paths"]["/prompts/{number}"]["get"]["responses"]) == {"200", "404", "422", "default"}
    assert "HTTPValidationError" not in json.dumps(document)


def test_all_references_lead_somewhere() -> None:
    document = make_app().openapi()
    text = json.dumps(document)
    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names == names & set(document["components"]["schemas"])


def test_completing_twice_changes_nothing() -> None:
    document = make_app().openapi()
    before = json.dumps(document)
    add_problems(document)
    assert json.dumps(document) == before


def test_operations_are_named_by_their_functions() -> None:
    document = make_app().openapi()
    assert document["paths"]["/prompts"]["post"]["operationId"] == "create_prompt"
    assert document["paths"]["/healthz"]["get"]["operationId"] == "read_health"


def test_two_operations_of_one_name_are_a_mistake() -> None:
    router = APIRouter()
    router.add_api_route("/twice", lambda: None, name="create_prompt")
    app = make_app(extra=(router,))
    with pytest.warns(UserWarning, match="Duplicate Operation ID create_prompt"):
        app.openapi()


def test_bounds_are_told_in_the_words_of_json_schema() -> None:
    document = json.loads(reference.document())
    seed = document["components"]["schemas"]["GenerationParams"]["properties"]["seed"]["anyOf"][0]
    assert (seed["minimum"], seed["maximum"]) == (0, 4294967295)
    assert not {'"ge":', '"le":', '"gt":', '"lt":'} & set(json.dumps(document).split())


def test_an_operation_that_opens_a_unit_says_what_to_send_and_no_other_does() -> None:
    document = json.loads(reference.document())
    told = {
        (method, path)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if "security" not in operation
    }
    assert told == {("get", "/healthz"), ("get", "/metrics"), ("get", "/readyz"), ("post", "/session")}
    of_one = document["paths"]["/prompts"]["get"]
    assert of_one["security"] == [{}, {"key": []}, {"session": []}]
    assert {"401", "403", "429"} <= set(of_one["responses"])
    assert set(document["components"]["securitySchemes"]) == {"key", "session"}
