"""The programs of the explanations run as they stand."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.figures import ROOT

PROGRAMS = [
    pytest.param(text, id=f"{page.stem}: {name}")
    for page in sorted((ROOT / "docs" / "explanation").glob("*.md"))
    for name, text in re.findall(r"<!-- run: (\w+) -->\n```python\n(.*?)```", page.read_text(), re.DOTALL)
]


def test_there_are_programs() -> None:
    assert PROGRAMS


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_an_explanation_runs(program: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "(4, 100) 2.0\n"
