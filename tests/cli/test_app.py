import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.console import COMMAND, Console
from text2song import __version__
from text2song.cli.app import run

HEAVY = ("torch", "transformers", "sqlalchemy", "fastapi", "numpy", "httpx2")  # Typer itself needs pydantic

HELP = """
import sys
from text2song.cli.app import run
for arguments in (["--help"], ["generate", "--help"], ["model", "add", "--help"], ["--version"]):
    try:
        run(arguments)
    except SystemExit as ended:
        assert not ended.code, arguments
loaded = [name for name in sys.argv[1:] if name in sys.modules]
sys.exit(f"help loaded {loaded}" if loaded else 0)
"""

WITHOUT = """
import sys
sys.modules[sys.argv.pop(1)] = None  # as if it were not installed
from text2song.cli.__main__ import main
main()
"""


def without(package: str, *arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, package, *arguments],
        env=Console(home).environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_and_version_wait_for_nothing_heavy() -> None:
    answer = subprocess.run([sys.executable, "-c", HELP, *HEAVY], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr


def test_help_lists_the_commands_and_the_exit_codes(console: Console) -> None:
    said = console.run("--help")
    assert said.code == 0
    for name in ("serve", "generate", "model", "worker", "doctor", "db"):
        assert f" {name} " in said.out
    assert "Exit codes: 0 done; 1 the work failed" in " ".join(said.out.split())


def test_the_version_is_said(console: Console) -> None:
    assert console.run("--version").out == f"text2song {__version__}\n"


def test_the_module_is_the_same_program() -> None:
    answer = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout) == (0, f"text2song {__version__}\n")


def test_without_a_terminal_nothing_is_coloured(console: Console) -> None:
    said = console.run("generate", "--help")
    assert "\x1b[" not in said.out + said.err


@pytest.mark.parametrize(("no_color", "is_red"), [("", True), ("1", False)])
def test_on_a_terminal_errors_are_red_unless_no_colour_is_wanted(
    console: Console, no_color: str, *, is_red: bool
) -> None:
    here, there = pty.openpty()
    environment = {"TERM": "xterm", "NO_COLOR": no_color, "TEXT2SONG_CAPACITY": "many"}
    process = subprocess.Popen(
        [*COMMAND, "db", "upgrade"], env=console.environment | environment, stdin=there, stderr=there
    )
    os.close(there)
    with os.fdopen(here, "rb") as terminal:
        said = terminal.readline()
        process.wait(timeout=60)
    assert b"Error: " in said
    assert (b"\x1b[1;31m" in said) is is_red


def test_without_a_command_help_is_shown(console: Console) -> None:
    said = console.run()
    assert "Commands" in said.out + said.err


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_without_the_server_the_command_that_installs_it_is_said(tmp_path: Path, package: str) -> None:
    answer = without(package, "--help", home=tmp_path)
    assert answer.returncode == 3
    assert answer.stdout == ""
    assert answer.stderr.startswith(f"Error: the command line needs the package {package}")
    assert "install your wheel with [studio]" in answer.stderr


def test_a_part_that_only_some_commands_need_is_missed_by_those_alone(tmp_path: Path) -> None:
    answer = without("sqlalchemy", "db", "upgrade", home=tmp_path)
    assert answer.returncode == 3
    assert "this command needs the package sqlalchemy" in answer.stderr.lower()
    assert "install your wheel with [server]" in answer.stderr
    assert without("sqlalchemy", "--version", home=tmp_path).returncode == 0


def test_a_usage_error_is_told_in_the_form_that_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["generate", "x", "--bogus", "--json"]) == 2
    out, err = capsys.readouterr()
    assert '"code": "invalid_input"' in out
    assert "--bogus" in err
    with pytest.raises(SystemExit) as ended:
        run(["generate", "x", "--bogus"])
    assert ended.value.code == 2
    assert capsys.readouterr().out == ""


def test_a_setting_that_cannot_be_ends_a_command_before_it_begins(console: Console) -> None:
    said = console.run("db", "upgrade", "--json", CAPACITY="many")
    assert said.code == 3
    assert said.error()["code"] == "invalid_setting"
    assert "TEXT2SONG_CAPACITY" in said.error()["message"]
    assert not console.home.exists()
    assert console.run("generate", "x", MODLE="typo").code == 3
