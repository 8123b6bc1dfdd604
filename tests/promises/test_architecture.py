"""The import contracts hold, and each of them can fail: a copy of the package is spoiled in one place."""

import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / ".importlinter"

SPOILED = {
    "errors imports a floor above": ("errors.py", "import text2song.music", "Imports point down"),
    "siblings import each other": ("music/spoiled.py", "import text2song.sound", "Imports point down"),
    "a feature imports the api": ("prompts/spoiled.py", "import text2song.api", "Imports point down"),
    "a folder that is nowhere": ("helpers/__init__.py", "", "Imports point down"),
    "the model layer imports transformers": (
        "model/spoiled.py",
        "import transformers",
        "Nothing imports transformers",
    ),
    "the model layer imports pydantic": (
        "model/spoiled.py",
        "import pydantic",
        "The model layer knows nothing of the server",
    ),
    "the model layer reads settings": (
        "music/spoiled.py",
        "import text2song.settings",
        "The model layer knows nothing of the server",
    ),
    "the api reaches torch by way of a job": (
        "prompts/spoiled.py",
        "import torch",
        "The API cannot reach torch",
    ),
    "an endpoint imports a job": (
        "api/spoiled.py",
        "import text2song.generation.job",
        "Only the worker's handlers import what a job does",
    ),
    "a service loads the network": (
        "generation/service.py",
        "import text2song.model.library",
        "Only jobs, the worker's handlers and the command line import the model layer",
    ),
    "the worker's frame loads the network": (
        "worker/main.py",
        "import text2song.model.manifest",
        "Only jobs, the worker's handlers and the command line import the model layer",
    ),
    "a service knows HTTP": ("prompts/service.py", "import fastapi", "Services know no edge"),
    "a service knows Celery": ("users/service.py", "import celery", "Services know no edge"),
}


PROGRAM = """
import sys
from importlinter.cli import lint_imports
sys.exit(lint_imports(sys.argv[1], no_logo=True, no_cache=True))
"""


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the package in `folder`, which comes before the installed one on the path."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(CONFIG)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "src", tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_a_faithful_copy_keeps_every_contract(copy: Path) -> None:
    answer = lint_imports(copy)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "7 kept, 0 broken" in answer.stdout


@pytest.mark.parametrize("case", SPOILED)
def test_a_spoiled_copy_breaks_its_contract(copy: Path, case: str) -> None:
    name, line, contract = SPOILED[case]
    spoiled = copy / "text2song" / name
    spoiled.parent.mkdir(exist_ok=True)
    before = spoiled.read_text() if spoiled.exists() else ""
    spoiled.write_text(f"{before}\n{line}\n")
    if name == "prompts/spoiled.py":  # something that the API reaches leads there
        endpoints = copy / "text2song" / "prompts" / "endpoints.py"
        endpoints.write_text(f"{endpoints.read_text()}\nimport text2song.prompts.spoiled\n")
    answer = lint_imports(copy)
    assert answer.returncode != 0
    assert f"{contract} BROKEN" in answer.stdout, answer.stdout + answer.stderr
    module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    assert f"text2song.{module}" in answer.stdout, "the contract is broken elsewhere"


def test_every_floor_of_the_model_layer_is_under_its_contract() -> None:
    """A floor that is added at or below `tuning` must not know the server either."""
    config = configparser.ConfigParser()
    config.read(CONFIG)
    layers = config["importlinter:contract:layers"]["layers"].split("(logs)")[1]
    floors = {name.strip("()") for name in layers.split() if name != "|"}
    package = ROOT / "src" / "text2song"
    existing = {f for f in floors if (package / f"{f}.py").exists() or (package / f / "__init__.py").exists()}
    sources = config["importlinter:contract:model-layer"]["source_modules"].split()
    assert {f"text2song.{floor}" for floor in existing} == set(sources)
