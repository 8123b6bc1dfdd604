"""Secrets go nowhere but to whom they belong: a real server, and all that it logs and answers."""

import io
import logging
from collections.abc import Iterator

import httpx2
import pytest
import structlog

from tests.api.edge import serve
from tests.studios import Desk
from tests.users.people import Person, add_person_with_key
from text2song.api.login import CSRF_HEADER, SESSION_COOKIE
from text2song.logs import configure_logging

JSON = {"Content-Type": "application/json"}


@pytest.fixture(name="logged")
def log_as_a_server_does() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logging(json=True, level="DEBUG")
    own_client = logging.getLogger("httpcore2")  # the test's, which tells of each header that it gets
    own_client.setLevel(logging.WARNING)
    lines = io.StringIO()
    (handler,) = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(lines)
    yield lines
    own_client.setLevel(logging.NOTSET)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture(name="eve")
def add_eve(desk: Desk) -> Person:
    add_person_with_key(desk.studio, "Ada")
    return add_person_with_key(desk.studio, "Eve", role="admin")


def test_no_secret_is_logged_answered_or_noted(desk: Desk, eve: Person, logged: io.StringIO) -> None:
    secret = eve.key[4:]
    bearer = {"Authorization": f"Bearer {eve.key}"}
    with serve(desk.client.app) as port, httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
        signed_in = client.post("/session", json={"key": eve.key})
        token, csrf_token = client.cookies[SESSION_COOKIE], signed_in.json()["csrf_token"]
        client.cookies.clear()
        made = client.post("/keys", json={"name": "new"}, headers=bearer).json()["key"]
        sloppy = [
            client.get(f"/{eve.key}", headers=bearer),
            client.get(f"/prompts/{eve.key}", headers=bearer),
            client.get("/prompts", params={"cursor": eve.key}, headers=bearer),
            client.get("/prompts", params={eve.key: "1"}, headers=bearer),
            client.get("/prompts", headers=bearer | {"X-Request-ID": eve.key}),
            client.get("/prompts", headers={"Authorization": f"Basic {eve.key}"}),
            client.get("/prompts", headers={"Authorization": f"Bearer {eve.key}x"}),
            client.get("/prompts", headers={"Authorization": eve.key}),
            client.get("/prompts", headers={"Cookie": f"{SESSION_COOKIE}={eve.key}"}),
            client.get("/prompts", headers={"Cookie": f"{SESSION_COOKIE}={token}x"}),
            client.post("/prompts", json={"text": "a"}, headers={"Cookie": f"{SESSION_COOKIE}={token}"}),
            client.post("/session", json={"key": f"{eve.key}x"}),
            client.post("/session", json={eve.key: "key"}),
            client.post("/session", content=f'{{"key": "{eve.key}"', headers=JSON),
            client.post("/session", content=f'{{"key": "{eve.key}", "key": "{eve.key}"}}', headers=JSON),
            client.post("/generate", json={"model": eve.key, "prompt": {"text": "a"}}, headers=bearer),
            client.request(f"X{secret[:5]}", f"/{eve.key}", headers=bearer),
            client.get("/healthz", headers={"Host": f"{eve.key}.example"}),
            client.get("/audit", headers=bearer),
            client.get("/keys", headers=bearer),
            client.get("/users", headers=bearer),
            client.get("/session", headers=bearer),
        ]
        client.get("/session", headers={"Cookie": f"{SESSION_COOKIE}={token}", CSRF_HEADER: csrf_token})
    lines = logged.getvalue()
    assert lines.count('"event": "request"') >= len(sloppy)
    for kept in (secret, token, csrf_token, made[4:]):
        assert kept not in lines
        for answer in sloppy:
            assert kept not in answer.text, answer.request.url
