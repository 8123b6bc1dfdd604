"""One form for every line of the logs: who reads them, or counts in them, learns it once."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
WORDS = re.compile(r"[a-z][a-z ,:'-]*[a-z]")
OTHER_KEYS = {"detail", "message", "msg", "exception"}
"""What might stand for `error`, the key of what went wrong in words."""


def lines(tree: ast.AST) -> Iterator[ast.Call]:
    """The calls that write one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
            logger = node.func.value
            if isinstance(logger, ast.Name) and logger.id in {"log", "_log", "logger", "_logger"}:
                yield node


def faults(text: str) -> list[str]:
    """What is not in the form, in a file that logs events with values."""
    if "structlog" not in text:
        return []
    made = [n for n in text.splitlines() if "get_logger(" in n]
    found = [line for line in made if line != "log = structlog.get_logger(__name__)"]
    for call in lines(ast.parse(text)):
        event = call.args[0] if call.args else None
        if not isinstance(event, ast.Constant) or not WORDS.fullmatch(str(event.value)):
            found.append(f"{ast.unparse(call)}: an event is plain words")
        found += [f"{ast.unparse(call)}: say error=" for key in call.keywords if key.arg in OTHER_KEYS]
    return found


def test_every_line_has_the_one_form() -> None:
    assert {str(p.relative_to(ROOT)): faults(p.read_text()) for p in SOURCES if faults(p.read_text())} == {}


def test_there_are_lines() -> None:
    assert sum(1 for path in SOURCES for _ in lines(ast.parse(path.read_text()))) > 10


@pytest.mark.parametrize(
    "line",
    [
        "_log = structlog.get_logger(__name__)",
        "log = structlog.stdlib.get_logger(__name__)",
        "log.info('request_failed')",
        "log.info(f'{n} failed')",
        "log.info('Work failed.')",
        "log.warning('work failed', detail=text)",
    ],
)
def test_another_form_is_found(line: str) -> None:
    assert faults(f"import structlog\n{line}\n")
    assert not faults(
        "import structlog\nlog = structlog.get_logger(__name__)\nlog.info('done', error=text)\n"
    )
