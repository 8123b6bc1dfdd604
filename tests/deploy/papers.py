"""The files of `deploy/`, read as what they are."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml
from typer.main import get_command

from tests.figures import ROOT
from text2song.cli.app import app
from text2song.settings import PREFIX, Settings

DEPLOY: Final = ROOT / "deploy"
FILES: Final = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
DOCKERFILES: Final = sorted(DEPLOY.glob("*.Dockerfile"))
UNITS: Final = sorted((DEPLOY / "systemd").iterdir())
MANIFESTS: Final = sorted(path for path in (DEPLOY / "kubernetes").iterdir() if path.stem != "kustomization")

SETTINGS: Final = frozenset(PREFIX + name.upper() for name in Settings.model_fields)


def instructions(path: Path) -> Iterator[tuple[str, str]]:
    """The instructions of a Dockerfile, with their continued lines joined."""
    text = re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    for line in filter(None, map(str.strip, text.splitlines())):
        name, _, rest = line.partition(" ")
        yield name.upper(), rest.strip()


def documents(path: Path) -> list[dict[str, Any]]:
    """The documents of a YAML file."""
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def compose(**values: str) -> dict[str, Any]:
    """compose.yaml with its variables filled in; those that nobody names are `x`."""
    text = (DEPLOY / "compose.yaml").read_text()
    given = {"TLS_FOLDER": "./tls", "PUBLIC_NAME": "studio.example"} | values
    filled = re.sub(r"\$\{([A-Z0-9_]+):\?[^}]*\}", lambda found: given.get(found[1], "x"), text)
    loaded: dict[str, Any] = yaml.safe_load(filled)
    return loaded


def require_command(words: list[str]) -> None:
    """Check that `text2song` with these words is a command with these options."""
    command: Any = get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    assert not getattr(command, "commands", None), f"{words} names no command"
    options = {name for parameter in command.params for name in parameter.opts}
    given = [word for word in words if word.startswith("--")]
    assert set(given) <= options, f"{command.name} has no {set(given) - options}"
    with command.make_context(command.name, list(words)):
        pass
