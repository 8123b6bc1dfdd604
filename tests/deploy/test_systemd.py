"""The units of systemd, judged by systemd itself where it is there."""

import configparser
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.papers import UNITS, require_command

PROGRAM = "/opt/text2song/bin/text2song"


def unit(path: Path) -> configparser.RawConfigParser:
    parsed = configparser.RawConfigParser(strict=False)  # Environment= stands there more than once
    parsed.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their capitals
    parsed.read(path)
    return parsed


SERVICES = [path for path in UNITS if path.suffix == ".service"]


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_it_starts_a_command_that_exists(path: Path) -> None:
    program, *words = shlex.split(unit(path)["Service"]["ExecStart"])
    assert program == PROGRAM
    require_command(words)


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_it_may_do_little(path: Path) -> None:
    service = unit(path)["Service"]
    assert service["User"] == "text2song"
    assert service["NoNewPrivileges"] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""


def test_a_worker_has_time_to_drain() -> None:
    [worker] = [path for path in SERVICES if "worker@" in path.name]
    [drain] = [
        line.rpartition("=")[2] for line in worker.read_text().splitlines() if "DRAIN_SECONDS=" in line
    ]
    assert float(unit(worker)["Service"]["TimeoutStopSec"]) > float(drain)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs `apt-get install systemd`")
@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_finds_nothing_wrong(path: Path, tmp_path: Path) -> None:
    """With a program and a user that are there; the rest as it stands."""
    for each in UNITS:
        name = each.name.replace("@.", "@cpu.")
        text = (
            each.read_text().replace(PROGRAM, shutil.which("true") or "").replace("=text2song\n", "=root\n")
        )
        (tmp_path / name).write_text(text)
    checked = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / path.name.replace("@.", "@cpu."))],
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in checked.stderr.splitlines() if str(tmp_path) in line or path.name in line]
    assert (checked.returncode, said) == (0, []), checked.stderr
