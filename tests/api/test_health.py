from structlog.testing import capture_logs

from tests.api.edge import LOOPBACK, make_client
from text2song import __version__
from text2song.api.app import create_app
from text2song.api.health import ReadyCheck
from text2song.errors import DatabaseBusy


def fine() -> None:
    pass


def locked() -> None:
    raise DatabaseBusy("it is locked by another program")


def broken() -> None:
    raise RuntimeError("secret")


def test_the_process_says_that_it_lives() -> None:
    client = make_client(create_app(LOOPBACK, routers=[]))
    assert client.get("/healthz").json() == {"status": "ok", "version": __version__}


def test_it_is_ready_when_every_check_passes() -> None:
    checks = [ReadyCheck("database", fine), ReadyCheck("blobs", fine)]
    response = make_client(create_app(LOOPBACK, routers=[], ready_checks=checks)).get("/readyz")
    assert (response.status_code, response.json()["checks"]) == (200, ["database", "blobs"])


def test_it_names_all_that_is_not_ready() -> None:
    checks = [ReadyCheck("database", locked), ReadyCheck("blobs", fine), ReadyCheck("queue", broken)]
    with capture_logs() as lines:
        response = make_client(create_app(LOOPBACK, routers=[], ready_checks=checks)).get("/readyz")
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    detail = response.json()["detail"]
    assert "database: it is locked by another program" in detail
    assert "queue: the check itself broke" in detail
    assert "blobs" not in detail
    assert "secret" not in response.text
    assert [line["check"] for line in lines if line["event"] == "ready_check_broke"] == ["queue"]
