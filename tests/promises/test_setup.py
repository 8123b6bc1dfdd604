"""The set-up's promises, played on copies of it: an old Python, no network, a folder with spaces."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tools import set_up

ROOT = Path(__file__).parents[2]
UV = Path(sys.prefix) / "bin" / "uv"
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


@contextmanager
def empty_index() -> Iterator[tuple[str, list[str]]]:
    """An index that has nothing: its URL, and what it was asked for."""
    asked: list[str] = []

    class Empty(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Empty) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/simple", asked
        server.shutdown()
        thread.join()


def test_the_mirror_that_is_named_for_uv_is_the_one_that_uv_comes_from(copy: Path) -> None:
    shutil.rmtree(copy / ".venv")
    with empty_index() as (url, asked):
        answer = make(copy, "setup", UV_DEFAULT_INDEX=url, PIP_CONFIG_FILE=os.devnull, PIP_FIND_LINKS="")
    assert answer.returncode != 0
    assert asked == ["/simple/uv/"]


def step(root: Path, call: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """One step of the set-up, in a process of its own over the copy."""
    program = f"from pathlib import Path; from set_up import *; {call}"
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=root / "tools",
        env=os.environ | {"PIP_CONFIG_FILE": os.devnull} | environ,
        capture_output=True,
        text=True,
        check=False,
    )


def test_pips_warnings_are_heard_only_where_nothing_has_uv(copy: Path, tmp_path: Path) -> None:
    shutil.rmtree(copy / ".venv")
    subprocess.run([sys.executable, "-m", "venv", copy / ".venv"], check=True)
    fetch = "fetch_uv(Path('../.venv').absolute(), environ=os.environ)"
    nowhere = tmp_path / "nowhere"
    failed = step(copy, fetch, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(nowhere))
    assert "No matching distribution found for uv" in failed.stderr
    assert f"WARNING: Location '{nowhere}' is ignored" in failed.stderr
    # A wheel that holds nothing but its name; pip does not mind.
    about = f"uv-{set_up.UV_VERSION}.dist-info"
    with zipfile.ZipFile(tmp_path / f"uv-{set_up.UV_VERSION}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: uv\nVersion: {set_up.UV_VERSION}\n"
        )
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    done = step(copy, fetch, PIP_NO_INDEX="1", PIP_FIND_LINKS=f"{nowhere} {tmp_path}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not UV.exists(), reason="this environment was not made by `make`")
@pytest.mark.parametrize(("torch_from_index", "is_offered"), [("", True), ("1", False)])
def test_where_torchs_own_index_is_out_of_reach_the_way_around_it_is_said(
    copy: Path, tmp_path: Path, torch_from_index: str, *, is_offered: bool
) -> None:
    (copy / ".venv" / "bin" / "uv").symlink_to(UV)
    install = "install(ENVIRONMENTS['studio'], folder=Path('../.venv').absolute(), environ=os.environ)"
    answer = step(
        copy,
        install,
        **NO_NETWORK,
        PIP_FIND_LINKS="",
        UV_CACHE_DIR=str(tmp_path / "cache"),
        UV_HTTP_RETRIES="0",
        TORCH_FROM_INDEX=torch_from_index,
    )
    assert answer.returncode != 0
    assert ("TORCH_FROM_INDEX=1" in answer.stderr) is is_offered
    command = re.search(r"Set-up stopped: `(.*)` ended with 2\.", answer.stderr)
    assert command, answer.stderr
    assert shlex.split(command[1])[0] == str(copy / "tools" / ".." / ".venv" / "bin" / "uv")
    assert "UV_OFFLINE=1 PIP_FIND_LINKS=FOLDER" in answer.stderr


def test_every_direct_requirement_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {*project["dependencies"], *(r for e in project["optional-dependencies"].values() for r in e)}
    wanted |= {requirement for each in set_up.ENVIRONMENTS.values() for requirement in each.beside}
    names = {re.split(r"[\[<>=~!;, ]", r, maxsplit=1)[0] for r in wanted} - {"text2song"}
    pins = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert names - pins == set(), "run `make constraints`"


def test_constraints_fit_every_machine() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9a-z.]+", line)] == []
    assert [line for line in lines if line.startswith(("nvidia", "cuda", "triton"))] == []
