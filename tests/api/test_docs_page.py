"""The documentation offline: what is served, and what a real browser makes of it."""

import importlib.util
import re
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.api.browser import needs_chromium, visit
from tests.api.edge import LOOPBACK, make_app, make_client, serve
from tests.studios import Desk, noise_info
from text2song.api import docs_page
from text2song.api.problems import EDGE_KINDS, KINDS
from text2song.errors import MissingPart
from text2song.models import service as models
from text2song.models.queries import ALIVE_SECONDS


@pytest.fixture(name="client")
def make_docs_client() -> TestClient:
    return make_client(make_app())


def test_the_page_loads_only_from_here_and_runs_nothing_inline(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "<script>" not in page.text
    sources = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(sources) == 5
    for source in sources:
        assert source == "data:," or client.get(f"/{source}").status_code == 200


def test_who_tries_an_endpoint_hears_takes_from_where_a_storage_serves_them() -> None:
    origin = "https://songs.example.org"
    client = make_client(make_app(replace(LOOPBACK, media_origin=origin)))
    policy = client.get("/docs").headers["content-security-policy"]
    assert f"media-src 'self' {origin};" in policy
    assert f"connect-src 'self' {origin};" in policy


def test_only_the_documentation_s_files_are_sent(client: TestClient) -> None:
    for name in ("core.py", "..%2fcore.py", "redoc.standalone.js", "%2e%2e/__init__.py"):
        assert client.get(f"/docs/{name}").status_code == 404


def test_every_problem_is_described_where_its_type_leads(client: TestClient) -> None:
    problem = client.get("/nowhere").json()
    page = client.get(problem["type"].split("#")[0])
    assert page.status_code == 200
    described = dict(re.findall(r'<tr id="(\w+)"><td><code>\w+</code></td><td>(\d+)</td>', page.text))
    expected = {cls.code: str(kind.status) for cls, kind in KINDS.items()}
    assert described == expected | {code: str(kind.status) for code, kind in EDGE_KINDS.items()}


def test_without_its_package_the_server_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingPart, match=r"your wheel with \[server\]"):
        docs_page.docs_router(tuple)


def test_the_page_says_what_must_be_known_of_what_is_served(desk: Desk) -> None:
    def notices() -> list[str]:
        return re.findall(r'<p class="notice" role="status">(.*)</p>', desk.client.get("/docs").text)

    (told,) = notices()
    assert told.startswith("text2song/untrained-noise is served now. This model is untrained")
    assert "<code>text2song model add facebook/musicgen-small</code>" in told
    desk.clock.advance(ALIVE_SECONDS + 1)  # its worker has gone
    with desk.studio.work() as work:
        models.announce(work, replace(noise_info(), id="music", is_trained=True), worker="w", capacity=8)
    assert notices() == []


def test_a_notice_is_text_and_no_markup(desk: Desk) -> None:
    with desk.studio.work() as work:
        models.announce(work, replace(noise_info(), id="<script>`x`"), worker="w", capacity=8)
    page = desk.client.get("/docs").text
    assert "<script>`" not in page
    assert "&lt;script&gt;<code>x</code> is served now." in page


def test_the_documentation_is_shown_when_the_database_does_not_answer(desk: Desk) -> None:
    database = desk.studio.settings.home / "studio.db"
    database.rename(database.with_name("moved.db"))
    assert desk.client.get("/models").status_code == 503
    page = desk.client.get("/docs")
    assert page.status_code == 200
    assert 'class="notice"' not in page.text


@needs_chromium
def test_a_browser_without_a_network_shows_the_operations(tmp_path: Path) -> None:
    with serve(make_app()) as port:
        shown, complaints = visit(f"http://127.0.0.1:{port}/docs", profile=tmp_path)
    assert 'data-path="/prompts/{number}"' in shown
    assert "OAS 3.1" in shown
    assert complaints == []
