import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = ("setup", "studio", "test", "check", "proof", "format", "lint", "types", "contracts")


def make(*arguments: str, root: Path = ROOT) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True, check=True).stdout


def test_make_alone_lists_the_targets() -> None:
    listed = make()
    assert listed == make("help")
    for target in TARGETS:
        assert re.search(rf"^  make {target} +\S", listed, flags=re.MULTILINE), target


def test_every_target_is_phony_so_that_no_file_can_hide_it() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", MAKEFILE, flags=re.MULTILINE))
    phony = set(" ".join(re.findall(r"^\.PHONY: (.*)", MAKEFILE, flags=re.MULTILINE)).split())
    assert targets == phony


def test_check_is_the_whole_gate_and_ends_with_the_tests() -> None:
    steps = make("--dry-run", "check")
    order = [
        "ruff format --check .",
        "ruff check .",
        "mypy",
        "lint-imports",
        "run_model_layer_tests.py",
        "pytest --numprocesses",
    ]
    places = [steps.index(f"{step}") for step in order]
    assert places == sorted(places)
    assert ".venv/bin/pytest" in steps.rstrip().splitlines()[-1]


def test_the_gate_of_a_fresh_machine_is_make_check() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert "set -euo pipefail" in script
    assert script.rstrip().splitlines()[-1] == "make check </dev/null"
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_host_and_port_reach_the_server() -> None:
    assert 'serve --host "127.0.0.1" --port "8000"' in make("--dry-run", "studio")
    assert 'serve --host "::1" --port "9000"' in make("--dry-run", "studio", "HOST=::1", "PORT=9000")


@pytest.mark.parametrize("has_site", [False, True], ids=["no site", "a site"])
def test_the_site_is_built_before_serving_where_there_is_one(tmp_path: Path, *, has_site: bool) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    if has_site:
        (tmp_path / "web").mkdir()
        (tmp_path / "web" / "package.json").write_text("{}")
    steps = make("--dry-run", "studio", root=tmp_path)
    assert ("tools/build_site.py" in steps) is has_site
    assert "text2song serve" in steps.rstrip().splitlines()[-1]
