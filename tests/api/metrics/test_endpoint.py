"""Who may read the numbers."""

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from tests.api.edge import LOOPBACK
from text2song.api.app import ApiOptions, create_app

TOKEN = "a-long-and-secret-word"


def client(options: ApiOptions, *, host: str) -> TestClient:
    app = create_app(options, routers=())
    return TestClient(app, base_url="http://127.0.0.1:8000", client=(host, 50000))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "testclient"])
def test_this_machine_reads_without_a_token(host: str) -> None:
    answer = client(LOOPBACK, host=host).get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert "process_resident_memory_bytes" in answer.text


@pytest.mark.parametrize("host", ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1"])
def test_other_machines_do_not(host: str) -> None:
    answer = client(LOOPBACK, host=host).get("/metrics")
    assert (answer.status_code, answer.json()["code"]) == (403, "refused")
    assert "TEXT2SONG_METRICS_TOKEN" in answer.json()["detail"]
    assert "process_" not in answer.text


def test_a_proxy_on_this_machine_lets_nobody_in() -> None:
    options = ApiOptions(allowed_hosts=LOOPBACK.allowed_hosts, has_users=lambda: True)
    answer = client(options, host="127.0.0.1").get("/metrics", headers={"X-Forwarded-For": "192.0.2.1"})
    assert (answer.status_code, answer.json()["code"]) == (403, "refused")


def test_whoever_has_the_token_does() -> None:
    options = ApiOptions(allowed_hosts=LOOPBACK.allowed_hosts, metrics_token=SecretStr(TOKEN))
    far = client(options, host="192.0.2.1")
    assert far.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert far.get("/metrics", headers={"Authorization": f"bearer  {TOKEN}"}).status_code == 200
    for wrong in ("", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \xe9"):
        answer = far.get("/metrics", headers=[(b"Authorization", wrong.encode("latin-1"))])
        assert answer.status_code == 403
        assert TOKEN not in answer.text
    assert client(options, host="127.0.0.1").get("/metrics").status_code == 200


def test_an_empty_token_lets_nobody_in() -> None:
    options = ApiOptions(allowed_hosts=LOOPBACK.allowed_hosts, metrics_token=SecretStr(""))
    assert client(options, host="192.0.2.1").get("/metrics").status_code == 403
