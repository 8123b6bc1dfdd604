import sys
from pathlib import Path

import pytest

from text2song.cli.answer import Answer
from text2song.cli.program import as_started

ADVICE = "run `text2song model add x`, and set TEXT2SONG_MODEL. text2song is free."


@pytest.mark.parametrize(
    ("started", "named"),
    [
        (".venv/bin/text2song", ".venv/bin/text2song"),
        ("/a b/text2song", "'/a b/text2song'"),
        ("cli/__main__.py", "text2song"),
    ],
)
def test_advice_names_the_program_as_it_was_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], started: str, named: str
) -> None:
    monkeypatch.setattr(sys, "argv", [started])
    monkeypatch.setenv("PATH", "")
    expected = f"run `{named} model add x`, and set TEXT2SONG_MODEL. text2song is free."
    assert as_started(ADVICE) == expected
    answer = Answer(is_json=False)
    answer.notice(ADVICE)
    answer.fail(code="invalid_input", message=ADVICE)
    answer.give({}, text=ADVICE)
    said = capsys.readouterr()
    assert said.err.count(f"`{named} model add x`") == 2
    assert said.out == f"{expected}\n"


def test_what_the_shell_finds_needs_no_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "text2song").touch(0o755)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "text2song")])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert as_started(ADVICE) == ADVICE
