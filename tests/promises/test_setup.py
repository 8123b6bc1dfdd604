"""The set-up's promises, played on copies of it: an old Python, no network, a folder with spaces."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tools import set_up

ROOT = Path(__file__).parents[2]
NO_NETWORK = {
    "HTTPS_PROXY": "http://127.0.0.1:9",  # nothing listens on the discard port
    "HTTP_PROXY": "http://127.0.0.1:9",
    "PIP_RETRIES": "0",
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What the set-up consists of, in a folder with spaces, with an environment that passes for complete."""
    root = tmp_path / "my own studio"
    shutil.copytree(ROOT / "tools", root / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, root / name)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / ".venv"], check=True)
    set_up.write_stamp(root / ".venv", name="dev", root=root)
    return root


def make(root: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", *arguments],
        cwd=root,
        env={**kept, **environ},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def fake_python(folder: Path, *, version: str) -> None:
    """A python3 that answers as an old one does."""
    folder.mkdir()
    fake = folder / "python3"
    fake.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "Python {version}" && exit 0\nexit 1\n')
    fake.chmod(0o755)
    for tool in ("sh", "head", "make"):
        (folder / tool).symlink_to(shutil.which(tool) or tool)


def test_an_old_python_is_named_and_what_to_do_is_said(copy: Path, tmp_path: Path) -> None:
    fake_python(tmp_path / "bin", version="3.9.2")
    answer = make(copy, "setup", PATH=str(tmp_path / "bin"))
    assert answer.returncode != 0
    assert "needs Python 3.11 or newer" in answer.stderr
    assert f"{tmp_path}/bin/python3: Python 3.9.2" in answer.stderr
    assert "apt-get install python3 python3-venv" in answer.stderr


def test_no_python_at_all_is_said(copy: Path, tmp_path: Path) -> None:
    fake_python(tmp_path / "bin", version="3.9.2")
    (tmp_path / "bin" / "python3").unlink()
    answer = make(copy, "setup", PATH=str(tmp_path / "bin"))
    assert answer.returncode != 0
    assert "there is none here" in answer.stderr
    assert "Looked for: python3" in answer.stderr


def test_a_python_that_is_named_is_used_though_the_first_is_old(copy: Path, tmp_path: Path) -> None:
    fake_python(tmp_path / "bin", version="3.9.2")
    answer = make(copy, "setup", f"PYTHON={sys.executable}", PATH=str(tmp_path / "bin"))
    assert answer.returncode == 0, answer.stderr


def test_the_second_set_up_is_silent_and_needs_no_network(copy: Path) -> None:
    answer = make(copy, "setup", "installed-studio", **NO_NETWORK)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


def test_a_set_up_that_cannot_finish_says_why_and_is_not_taken_for_complete(copy: Path) -> None:
    (copy / "constraints.txt").write_text("numpy==2.4.6\n")
    first = make(copy, "setup", **NO_NETWORK)
    assert first.returncode != 0
    assert "Setting up .venv for text2song[dev]." in first.stdout
    assert "Set-up stopped:" in first.stderr
    assert "PIP_FIND_LINKS" in first.stderr
    assert make(copy, "setup", **NO_NETWORK).returncode != 0


def test_every_direct_requirement_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {*project["dependencies"], *(r for e in project["optional-dependencies"].values() for r in e)}
    names = {re.split(r"[\[<>=~!;, ]", r, maxsplit=1)[0] for r in wanted} - {"text2song"}
    pins = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert names - pins == set(), "run `make constraints`"


def test_constraints_fit_every_machine() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9a-z.]+", line)] == []
    assert [line for line in lines if line.startswith(("nvidia", "cuda", "triton"))] == []
