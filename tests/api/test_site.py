import base64
import dataclasses
import hashlib
import os
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.api.edge import LOOPBACK, make_app, make_client

SCRIPT = "self.started = 1"
PAGE = f"<!doctype html><script>{SCRIPT}</script><script src=/studio/app.js></script><p>Listen"


@pytest.fixture(name="site")
def make_site(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "404.html").write_text(PAGE)
    (tmp_path / "app.js").write_text("1")
    (tmp_path / "queue").mkdir()
    (tmp_path / "queue/index.html").write_text("<p>queue")
    return tmp_path


@pytest.fixture(name="client")
def make_site_client(site: Path) -> TestClient:
    return make_client(make_app(dataclasses.replace(LOOPBACK, site_folder=site)))


def digest_of(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def test_the_root_leads_to_the_studio(client: TestClient) -> None:
    response = client.get("/")
    assert (response.status_code, response.headers["location"]) == (307, "/studio/")
    assert "Listen" in client.get("/studio/").text


def test_without_a_site_the_root_leads_to_the_documentation() -> None:
    assert make_client(make_app()).get("/").headers["location"] == "/docs"


def test_a_page_may_run_its_own_scripts_and_no_others(client: TestClient) -> None:
    policy = client.get("/studio/").headers["content-security-policy"]
    assert f"script-src 'self' {digest_of(SCRIPT)};" in policy
    assert "frame-ancestors 'none'" in policy
    other = client.get("/studio/queue/").headers["content-security-policy"]
    assert "script-src 'self';" in other


def test_a_page_may_play_and_fetch_from_where_a_storage_serves_its_bytes(site: Path) -> None:
    origin = "https://songs.example.org"
    options = dataclasses.replace(LOOPBACK, site_folder=site, media_origin=origin)
    policy = make_client(make_app(options)).get("/studio/").headers["content-security-policy"]
    assert f"media-src 'self' blob: {origin};" in policy
    assert f"connect-src 'self' {origin};" in policy
    assert policy.count(origin) == 2


def test_a_page_that_has_not_changed_keeps_its_policy(client: TestClient) -> None:
    first = client.get("/studio/")
    again = client.get("/studio/", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.headers["content-security-policy"] == first.headers["content-security-policy"]


def test_a_rebuilt_page_gets_a_new_policy(client: TestClient, site: Path) -> None:
    before = client.get("/studio/").headers["content-security-policy"]
    (site / "index.html").write_text(PAGE.replace("1", "2"))
    os.utime(site / "index.html", (1, 1))
    after = client.get("/studio/").headers["content-security-policy"]
    assert before != after
    assert digest_of("self.started = 2") in after


def test_what_the_site_has_not_is_its_own_404(client: TestClient) -> None:
    response = client.get("/studio/nowhere")
    assert response.status_code == 404
    assert digest_of(SCRIPT) in response.headers["content-security-policy"]


def test_nothing_outside_of_the_site_is_sent(client: TestClient) -> None:
    assert client.get("/studio/%2e%2e/%2e%2e/etc/passwd").status_code == 404
    response = client.post("/studio/")
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
