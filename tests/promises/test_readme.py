"""The README's commands are run as they stand, in their order, against a real server."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
import soundfile

from tests.figures import ROOT
from tests.servers import served

BLOCK: Final = re.compile(r"<!-- run: (\w+) -->\n```bash\n(.*?)```", re.DOTALL)
FRAME_SECONDS: Final = 1 / 50


def commands(kind: str) -> str:
    """The marked blocks of one kind, as one script: a reader types them into one shell."""
    blocks = [text for name, text in BLOCK.findall((ROOT / "README.md").read_text()) if name == kind]
    assert blocks, f"README.md marks no block as `run: {kind}`"
    return "\n".join(blocks)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder in which the README's `.venv/bin/...` is this installation."""
    folder = tmp_path / "clone"
    folder.mkdir()
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


@pytest.mark.slow
def test_the_first_take_on_the_command_line(clone: Path) -> None:
    _run(commands("cli"), clone, TEXT2SONG_HOME=str(clone / "home"))
    assert abs(soundfile.info(clone / "take.flac").duration - 8) <= FRAME_SECONDS


@pytest.mark.slow
def test_the_first_session_over_http(clone: Path) -> None:
    with served(clone.parent / "home", MODEL="") as server:  # as a newcomer starts it
        server.wait_until(lambda: "It understands styles: " in server.log, timeout_seconds=10)
        printed = _run(commands("http"), clone, PORT=str(server.port))
    assert "succeeded 1.0" in printed
    assert abs(soundfile.info(clone / "first.flac").duration - 8) <= FRAME_SECONDS


def _run(script: str, folder: Path, **environment: str) -> str:
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout
