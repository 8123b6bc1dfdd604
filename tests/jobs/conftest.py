from pathlib import Path

import pytest

from tests.rows import bare_settings
from text2song.settings import Settings


@pytest.fixture
def settings(tmp_path: Path, _migrated_database: Path) -> Settings:
    """No model is needed here."""
    return bare_settings(tmp_path / "home", database=_migrated_database)
