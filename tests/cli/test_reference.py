"""The reference pages tell of every command, option, exit code and setting, and of nothing else."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from text2song.cli.app import app
from text2song.cli.exits import MEANINGS
from text2song.cli.reference import command_line_page, settings_page, write
from text2song.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "reference"
PAPERS = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
REMEDY = "run `.venv/bin/python -m text2song.cli.reference docs/reference`"


def commands(path: str, command: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401  # Typer exports no type
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(f"{path} {name}", child)


COMMANDS = dict(commands("text2song", get_command(app)))


def test_the_pages_are_what_the_code_would_write_now(tmp_path: Path) -> None:
    write(tmp_path)
    for page in tmp_path.iterdir():
        assert (PAGES / page.name).read_text() == page.read_text(), REMEDY


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_and_option_is_on_the_page(path: str) -> None:
    section = command_line_page().split(f"## `{path}`\n")[1].split("\n## ")[0]
    command = COMMANDS[path]
    assert " ".join(command.help.split()) in section
    for parameter in command.params:
        for name in [parameter.metavar] if parameter.param_type_name == "argument" else parameter.opts:
            assert f"`{name}" in section
        assert parameter.help, f"{parameter.name} has no help"
        assert parameter.help in section


@pytest.mark.parametrize("path", [p for p, c in COMMANDS.items() if not getattr(c, "commands", None)])
def test_every_command_answers_scripts(path: str) -> None:
    assert any("--json" in parameter.opts for parameter in COMMANDS[path].params)


def test_every_exit_code_is_on_the_page() -> None:
    page = command_line_page()
    for code, meaning in MEANINGS.items():
        assert f"| {code.value} | {meaning} |" in page


def test_every_setting_is_on_its_page_with_default_and_meaning() -> None:
    page = settings_page()
    for name, field in Settings.model_fields.items():
        [row] = [line for line in page.splitlines() if line.startswith(f"| `{PREFIX}{name.upper()}` |")]
        assert field.description
        assert field.description in row
    assert "| `TEXT2SONG_CAPACITY` | `8` |" in page


@pytest.mark.parametrize("paper", PAPERS, ids=lambda p: p.name)
def test_every_command_that_a_paper_shows_exists_with_its_options(paper: Path) -> None:
    blocks = re.findall(r"```bash\n(.*?)```", paper.read_text(), flags=re.DOTALL)
    for line in "\n".join(blocks).replace("\\\n", " ").splitlines():
        for typed in re.findall(
            r"\btext2song ((?:model |db |user |key )?[a-z]+)\b([^;|&]*)", line.split("#")[0]
        ):
            command = COMMANDS[f"text2song {typed[0]}"]
            known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
            assert set(re.findall(r"(?<!\S)--[a-z-]+", typed[1])) <= known, line


def test_every_setting_that_a_paper_names_exists() -> None:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    for paper in PAPERS:
        assert set(re.findall(rf"{PREFIX}[A-Z_]+[A-Z]", paper.read_text())) <= known, paper.name
