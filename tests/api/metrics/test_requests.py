"""What is counted of requests."""

from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from tests.api.edge import make_app, make_client


def edge() -> TestClient:
    return make_client(make_app())


def numbers(client: TestClient) -> dict[tuple[str, ...], float]:
    """Every sample as (name, label values in the order of their names): value."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_requests_are_counted_by_the_template_of_their_route() -> None:
    client = edge()
    client.get("/healthz")
    client.head("/healthz")
    client.get("/prompts/1")
    client.get("/prompts/2")
    found = numbers(client)
    requests = "text2song_http_requests_total"
    assert found[(requests, "GET", "/healthz", "200")] == 1
    assert found[(requests, "HEAD", "/healthz", "200")] == 1
    templates = {key[2] for key in found if key[0] == requests}
    assert not {"/prompts/1", "/prompts/2"} & templates
    assert found[("text2song_http_request_seconds_count", "GET", "/healthz")] == 1
    assert found[("text2song_http_request_seconds_bucket", "30.0", "GET", "/healthz")] == 1


def test_nobody_fills_the_memory_with_labels() -> None:
    client = edge()
    for n in range(20):
        client.get(f"/nothing/{n}")
        client.request(f"METHOD{n}", "/healthz")
        client.get("/healthz", headers={"Host": f"evil{n}.example"})
    found = {key[1:] for key in numbers(client) if key[0] == "text2song_http_requests_total"}
    assert ("GET", "(none)", "404") in found
    assert ("GET", "(none)", "421") in found
    assert {method for method, *_ in found} <= {"GET", "OTHER"}
    assert len(found) < 6


def test_problems_are_counted_by_their_code() -> None:
    client = edge()
    client.get("/nothing")
    client.get("/trouble/bug")
    client.get("/trouble/missing")
    client.get("/healthz", headers={"Host": "evil.example"})
    found = {
        key[1]: value for key, value in numbers(client).items() if key[0] == "text2song_http_errors_total"
    }
    assert found == {"path_not_found": 1, "internal_error": 1, "not_found": 1, "foreign_host": 1}


def test_each_application_counts_for_itself() -> None:
    first, second = edge(), edge()
    first.get("/healthz")
    assert ("text2song_http_requests_total", "GET", "/healthz", "200") not in numbers(second)
