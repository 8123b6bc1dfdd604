from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backup.full import empty_studio
from text2song.backup.folder import BackupFolder
from text2song.studio import Studio


@pytest.fixture
def folder(tmp_path: Path) -> BackupFolder:
    return BackupFolder(tmp_path / "backup")


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Studio]:
    """A studio elsewhere, with nothing in it."""
    opened = empty_studio(tmp_path / "other")
    yield opened
    opened.engine.dispose()
