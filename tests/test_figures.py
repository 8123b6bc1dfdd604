import datetime as dt
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.figures import ROOT, Figure, machine, results_page

MEASURES = """
import pytest

def test_short(record_figure):
    record_figure("short_takes", 3, "takes")

@pytest.mark.proof
def test_long(record_figure):
    record_figure("recovery", 9.87654, "s")
"""


def run_pytest(folder: Path, *options: str) -> str:
    (folder / "test_measures.py").write_text(MEASURES)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    proof: long\n")
    answer = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.figures", "-p", "no:cacheprovider", *options],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTEST_ADDOPTS": "",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return answer.stdout


@pytest.mark.parametrize(
    "options", [(), ("-p", "xdist", "--numprocesses", "1")], ids=["one process", "xdist"]
)
def test_figures_are_printed_above_the_closing_line(tmp_path: Path, options: tuple[str, ...]) -> None:
    *above, closing = run_pytest(tmp_path, "-m", "not proof", *options).splitlines()
    assert "test_measures.py::test_short: short_takes = 3 takes" in above
    assert "1 passed" in closing


def test_the_page_holds_outcomes_figures_and_the_machine(tmp_path: Path) -> None:
    run_pytest(tmp_path, "-m", "proof", "--results", "proof")
    (page,) = (tmp_path / "proof").iterdir()
    text = page.read_text()
    assert page.name == f"{dt.datetime.now(tz=dt.UTC).date().isoformat()}.md"
    assert "| `test_measures.py::test_long` | passed |" in text
    assert "recovery = 9.877 s" in text
    assert "cores usable" in text
    assert "test_short" not in text


def test_without_results_nothing_is_written(tmp_path: Path) -> None:
    run_pytest(tmp_path)
    assert not (tmp_path / "proof").exists()


def test_large_figures_are_readable() -> None:
    assert str(Figure("t", "frames", 120000, "frames")) == "frames = 120,000 frames"
    assert str(Figure("t", "ratio", 0.333333, "")) == "ratio = 0.3333"


def test_a_page_of_nothing_still_names_the_machine() -> None:
    page = results_page([], today=dt.date(2026, 1, 2), facts=machine())
    assert page.startswith("# Proofs of 2026-01-02\n")
    assert "- commit: " in page
