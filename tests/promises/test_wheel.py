"""The wheel alone is the studio: it needs neither make nor Node."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.figures import ROOT
from tests.promises.test_bundled_model import FILES
from tests.servers import START_SECONDS, Server
from text2song.names import BUNDLED_FOLDER

SITE_PAGE = "<!doctype html><title>Studio</title>"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the tracked files, and from a site as a build would leave it."""
    source = tmp_path_factory.mktemp("source") / "text2song"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, tracked.stdout.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    site = source / "src" / "text2song" / "site"
    site.mkdir()
    (site / "index.html").write_text(SITE_PAGE)
    out = source / "dist"
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", out], cwd=source, check=True
    )
    [built] = out.glob("*.whl")
    return built


def test_the_wheel_carries_the_site_the_migrations_the_types_and_a_model(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "text2song/site/index.html",
        "text2song/db/migrations/env.py",
        "text2song/db/migrations/versions/0001_the_first_schema.py",
        "text2song/py.typed",
        *(f"text2song/{BUNDLED_FOLDER}/{name}" for name in FILES),
    } <= names
    assert not [name for name in names if name.startswith(("tests", "benchmarks", "tools", "docs"))]


@pytest.mark.proof
def test_an_installed_wheel_serves_the_site(wheel: Path, tmp_path: Path) -> None:
    import httpx2

    venv = tmp_path / "venv"
    uv = ROOT / ".venv" / "bin" / "uv"
    environment = {**os.environ, "UV_FIND_LINKS": os.environ.get("PIP_FIND_LINKS", "")}
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, venv], check=True)
    python = venv / "bin" / "python"
    asked = f"text2song[studio] @ {wheel.as_uri()}"
    subprocess.run(
        [uv, "pip", "install", "-q", "--python", python, "-c", ROOT / "constraints.txt", asked],
        check=True,
        env=environment,
    )
    server = Server(tmp_path / "home", {"TEXT2SONG_MODEL": ""}, python=python)
    try:
        server.start()
        page = httpx2.get(f"{server.url}/", follow_redirects=True, timeout=START_SECONDS)
        assert page.status_code == 200
        assert page.url.path == "/studio/"
        assert page.text == SITE_PAGE
    finally:
        assert server.stop() == 0
