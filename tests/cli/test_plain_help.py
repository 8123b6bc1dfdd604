import re

import pytest

from tests.cli.console import Console


@pytest.mark.parametrize(
    "command", [(), ("serve",), ("generate",), ("model",), ("model", "add"), ("db", "upgrade")]
)
def test_help_names_no_types_of_python(console: Console, command: tuple[str, ...]) -> None:
    said = console.run(*command, "--help")
    assert said.code == 0
    assert re.findall(r"<\S+>", said.out) == []
    assert "--help" in said.out


def test_help_names_what_an_option_takes_and_its_limits(console: Console) -> None:
    said = console.run("serve", "--help").out
    assert "--port NUMBER [0<=x<=65535]" in " ".join(said.split())
    assert "TEXT What the music is like" in " ".join(console.run("generate", "--help").out.split())
