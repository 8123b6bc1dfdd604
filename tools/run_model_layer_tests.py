"""Run the model layer's tests where the server is not installed: an import rule proven by an environment.

The Makefile runs this with the Python of `.venv-model`, which holds `text2song[model]` and pytest, and
names the folders: not `tests/sound`, since files and loudness need libraries of the server.
"""

import importlib.util
import sys
from typing import Final

import pytest

ABSENT: Final = ("alembic", "celery", "fastapi", "obstore", "sqlalchemy", "starlette", "uvicorn")
"""Not pydantic and typer: they come with transformers, the tests' oracle. The contract forbids both."""


def main(folders: list[str]) -> int:
    """Refuse an environment that would prove nothing; answer pytest's exit code."""
    present = [name for name in ABSENT if importlib.util.find_spec(name)]
    if present:
        print(f"{sys.prefix} holds {', '.join(present)}: tests here would prove nothing of the model layer.")
        return 1
    return pytest.main(
        ["--quiet", "-p", "no:cacheprovider", "--numprocesses", "2", "--dist", "loadscope", *folders]
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
