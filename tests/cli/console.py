"""Commands as a person types them: in this process where that is enough, else in one of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from unittest import mock

from typer.testing import CliRunner

from text2song.cli.app import app
from text2song.names import NOISE_MODEL

COMMAND: Final = (sys.executable, "-m", "text2song.cli")


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    def document(self) -> dict[str, Any]:
        """The one JSON document on standard output."""
        document: dict[str, Any] = json.loads(self.out)
        return document

    def error(self) -> dict[str, str]:
        """The error in that document."""
        error: dict[str, str] = self.document()["error"]
        return error


@dataclass(frozen=True)
class Console:
    """Commands over one home folder. Without other words, they play noise."""

    home: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TEXT2SONG_")}
        given = {"TEXT2SONG_HOME": str(self.home), "TEXT2SONG_MODEL": NOISE_MODEL, "NO_COLOR": "1"}
        return {**kept, **given, **self.settings}

    def run(self, *arguments: str, text: str | None = None, **settings: str) -> Said:
        """In this process; `settings` are `MODEL="..."` and so on."""
        environment = self.environment | {f"TEXT2SONG_{name}": value for name, value in settings.items()}
        with mock.patch.dict(os.environ, environment, clear=True):
            ended = CliRunner().invoke(app, list(arguments), input=text, catch_exceptions=False)
        return Said(ended.exit_code, ended.stdout, ended.stderr)

    def start(self, *arguments: str, **settings: str) -> "subprocess.Popen[str]":
        """In a process of its own."""
        return subprocess.Popen(
            [*COMMAND, *arguments],
            env=self.environment | {f"TEXT2SONG_{name}": value for name, value in settings.items()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def command(self, *arguments: str, **settings: str) -> Said:
        """In a process of its own, to its end."""
        return ended(self.start(*arguments, **settings))


def ended(process: "subprocess.Popen[str]", *, timeout_seconds: float = 120) -> Said:
    """What a process said, once it has ended."""
    with process:
        try:
            out, err = process.communicate(timeout=timeout_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return Said(process.returncode, out, err)


def read_until(process: "subprocess.Popen[str]", word: str) -> list[str]:
    """The lines of the process's standard error up to one that holds `word`."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if word in line:
            return lines
    raise AssertionError(f"it never said {word!r}: {lines}")
