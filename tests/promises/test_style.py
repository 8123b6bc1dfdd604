"""The sizes and names that CONTRIBUTING.md promises, where no linter has a rule for them."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE_LIMIT_LINES = 400
FUNCTION_LIMIT_LINES = 60
NOT_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
SOURCES = sorted(
    path for folder in ("src", "tests", "tools", "benchmarks") for path in (ROOT / folder).rglob("*.py")
)
PRODUCT = [p for p in SOURCES if p.is_relative_to(ROOT / "src")]


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_is_something_to_look_at() -> None:
    assert len(PRODUCT) > 10


def test_files_are_short() -> None:
    lengths = {name(p): len(p.read_text().splitlines()) for p in SOURCES}
    assert {n: lines for n, lines in lengths.items() if lines > FILE_LIMIT_LINES} == {}


def test_functions_are_short() -> None:
    lengths = {
        f"{name(p)}:{f.lineno} {f.name}": (f.end_lineno or f.lineno) - f.lineno + 1
        for p in SOURCES
        for f in functions(p)
    }
    assert {n: lines for n, lines in lengths.items() if lines > FUNCTION_LIMIT_LINES} == {}


def test_files_have_names() -> None:
    assert [name(p) for p in SOURCES if {p.stem, p.parent.name} & NOT_NAMES] == []


def test_functions_say_what_they_take() -> None:
    assert [f"{name(p)} {f.name}" for p in PRODUCT for f in functions(p) if f.args.kwarg] == []
