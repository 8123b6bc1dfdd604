import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.cli.console import Console
from tests.studios import furnish


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    """Commands set up the logs of their process; here that is the tests' own."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def console(tmp_path: Path) -> Console:
    """Commands over a home folder that is not there yet."""
    return Console(tmp_path / "home")


@pytest.fixture(scope="module")
def furnished(
    tmp_path_factory: pytest.TempPathFactory, _migrated_database: Path, _models_folder: Path
) -> Console:
    """Commands over a home folder with a database and the untrained model, for all tests of a module."""
    home = tmp_path_factory.mktemp("furnished") / "home"
    furnish(home, database=_migrated_database, models=_models_folder)
    return Console(home, settings={"TEXT2SONG_BEAT_SECONDS": "0.1"})
