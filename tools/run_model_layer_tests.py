"""Run the model layer's tests where the server is not installed: an import rule proven by an environment.

The Makefile runs this with the Python of `.venv-model`, which holds `text2song[model]` and pytest.
"""

import importlib.util
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent
ABSENT: Final = ("alembic", "celery", "fastapi", "obstore", "sqlalchemy", "starlette", "uvicorn")
"""Not pydantic and typer: they come with transformers' command line. The import contract forbids both."""
FLOORS: Final = ("music", "artifacts", "model", "tuning")
"""Not sound: its files and loudness need libraries of the server."""


def main() -> int:
    """Refuse an environment that would prove nothing; answer pytest's exit code."""
    present = [name for name in ABSENT if importlib.util.find_spec(name)]
    if present:
        print(f"{sys.prefix} holds {', '.join(present)}: tests here would prove nothing of the model layer.")
        return 1
    folders = [str(path) for floor in FLOORS if (path := ROOT / "tests" / floor).exists()]
    # What is slow proves nothing of the environment; it runs once, among all tests.
    return pytest.main(["--quiet", "-p", "no:cacheprovider", "-m", "not proof and not slow", *folders])


if __name__ == "__main__":
    sys.exit(main())
