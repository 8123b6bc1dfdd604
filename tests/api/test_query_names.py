import pytest
from fastapi.testclient import TestClient

from tests.api.edge import make_app, make_client
from text2song.api.query_names import query_names


@pytest.fixture(name="client")
def make_edge_client() -> TestClient:
    return make_client(make_app())


def test_a_parameter_that_exists_is_taken(client: TestClient) -> None:
    assert client.get("/prompts?limit=7").json() == {"limit": 7}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_misspelt_parameter_is_refused_and_not_ignored(client: TestClient, method: str) -> None:
    answer = client.request(method, "/prompts?limit=7&limmit=8")
    assert answer.status_code == 422
    if method == "GET":
        told = answer.json()
        assert (told["code"], told["field"]) == ("invalid_input", "limmit")
        assert told["detail"].endswith("limmit is not a parameter here: there are limit.")


def test_a_name_that_cannot_be_shown_is_not(client: TestClient) -> None:
    answer = client.get("/prompts", params={"<b>\r\n": "x"})
    assert answer.status_code == 422
    assert "<b>" not in answer.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/healthz"), ("HEAD", "/prompts/7"), ("DELETE", "/prompts/7")]
)
def test_what_takes_no_parameters_refuses_each(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, f"{path}?v=2")
    assert answer.status_code == 422
    if method != "HEAD":
        assert answer.json()["field"] == "v"
        assert answer.json()["detail"].endswith("v is not a parameter here: there are none, leave it out.")


def test_a_page_for_people_minds_none(client: TestClient) -> None:
    assert client.get("/docs?utm_source=letter").status_code == 200


def test_only_what_stands_in_the_query_is_known() -> None:
    names = query_names(make_app().openapi())
    assert names["/prompts", "get"] == {"limit"}
    assert names["/prompts/{number}", "get"] == frozenset()
