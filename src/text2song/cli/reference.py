"""Writes the reference pages of the command line and of the settings, from the code that they describe.

    python -m text2song.cli.reference docs/reference

A test holds the pages to what this would write, so they cannot tell of an option that is not there.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from typer.main import get_command

from text2song.cli.app import app
from text2song.cli.exits import MEANINGS, exit_code_of
from text2song.errors import every_kind
from text2song.settings import PREFIX, Settings

_HEAD: Final = """\
# The command line

`text2song COMMAND --help` (or `-h`) says the same as this page. Where `text2song` is not on the
path, `python -m text2song.cli` is the same program.

Results go to standard output; notices, progress and errors go to standard error. Colours and bars appear on a
terminal alone, and no colours where `NO_COLOR` is set.

## `--json`

Every command takes `--json`. Standard output then holds exactly one JSON document: the result, or, where the
command fails, `{"error": {"code": ..., "message": ...}}` beside what is known by then (the job and the files
of `generate`). `serve` and `worker` print theirs when they are ready. Standard error stays as it is; where
the logs of `serve` and `worker` are JSON, their notices are lines of the log too.
The codes are those of the API; `interrupted` is added for Ctrl-C.
"""
_SETTINGS_HEAD: Final = """\
# Settings

Every setting is an environment variable. Without any, the studio is one machine: a SQLite file, a folder of
bytes and a thread, all in one home folder. A `TEXT2SONG_` variable that is not listed here is refused, so
that a misspelt one is noticed. `text2song doctor` says whether the settings can be read.

| variable | default | meaning |
|---|---|---|
"""


def command_line_page() -> str:
    """`docs/reference/cli.md`."""
    sections = [_HEAD, _exit_codes()]
    sections += [_section(name, command) for name, command in _commands("text2song", get_command(app))]
    return "\n".join(sections)


def settings_page() -> str:
    """`docs/reference/settings.md`."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, tuple):
            default = ",".join(default)
        written = "" if default in {None, ""} else f"`{default}`"
        rows.append(f"| `{PREFIX}{name.upper()}` | {written} | {field.description} |")
    return _SETTINGS_HEAD + "\n".join(rows) + "\n"


def write(folder: Path) -> None:
    """Write both pages."""
    (folder / "cli.md").write_text(command_line_page(), encoding="utf-8")
    (folder / "settings.md").write_text(settings_page(), encoding="utf-8")


def _exit_codes() -> str:
    lines = ["## Exit codes", "", "| code | meaning | errors |", "|---|---|---|"]
    for code, meaning in MEANINGS.items():
        names = ", ".join(f"`{kind.code}`" for kind in every_kind() if exit_code_of(kind) is code)
        lines.append(f"| {code.value} | {meaning} | {names} |")
    return "\n".join([*lines, ""])


def _commands(path: str, command: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401  # Typer exports no types for these
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from _commands(f"{path} {name}", child)


def _section(path: str, command: Any) -> str:  # noqa: ANN401  # as above
    lines = [f"## `{path}`", "", " ".join((command.help or "").split()), ""]
    if getattr(command, "commands", None):
        lines += ["Commands: " + ", ".join(f"`{path} {name}`" for name in command.commands) + ".", ""]
    if command.params:
        lines += ["| option | meaning | default |", "|---|---|---|"]
        lines += [*(_option(parameter) for parameter in command.params), ""]
    return "\n".join(lines)


def _option(parameter: Any) -> str:  # noqa: ANN401  # as above
    if parameter.param_type_name == "argument":
        said = f"`{parameter.metavar}`"
    else:
        value = "" if parameter.is_flag else f" {parameter.metavar}"
        said = ", ".join(f"`{name}{value}`" for name in (*parameter.opts, *parameter.secondary_opts))
    default = parameter.default
    written = f"`{default}`" if default not in (None, False) else ""
    return f"| {said} | {parameter.help or ''} | {written} |"


if __name__ == "__main__":
    write(Path(sys.argv[1]))
