from pathlib import Path

import pytest
from structlog.testing import capture_logs

from text2song.cli.worker.health_file import HealthFile


def test_it_is_there_while_all_is_well_and_not_before_or_after(tmp_path: Path) -> None:
    path = tmp_path / "well"
    path.write_text("of an earlier worker that was killed")
    file = HealthFile(path)
    file.prepare()
    assert not path.exists()
    file.touch()
    assert path.exists()
    file.remove()
    file.remove()
    assert not path.exists()


def test_a_place_that_cannot_be_written_is_noticed_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        HealthFile(tmp_path / "file" / "well").prepare()


def test_a_folder_that_is_missing_is_made(tmp_path: Path) -> None:
    file = HealthFile(tmp_path / "run" / "text2song" / "well")
    file.prepare()
    file.touch()
    assert (tmp_path / "run" / "text2song" / "well").exists()


def test_a_place_that_is_lost_later_ends_no_work(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    file = HealthFile(folder / "well")
    file.prepare()
    folder.rmdir()
    with capture_logs() as lines:
        file.touch()
    assert [line["event"] for line in lines] == ["the health file cannot be written"]
