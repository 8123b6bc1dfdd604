from pathlib import Path

import pytest

from tests.backup.test_manifest import MANIFEST
from tests.studios import START
from text2song.backup.folder import BackupFolder
from text2song.errors import BackupDamaged, Conflict, InvalidInput


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "studio.db").write_text("rows")
    with pytest.raises(InvalidInput, match="something else"), BackupFolder(tmp_path).writing():
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["studio.db"]
    with pytest.raises(InvalidInput, match="no backup"), BackupFolder(tmp_path).reading():
        pass


def test_it_is_for_its_owner_alone(folder: BackupFolder) -> None:
    with folder.writing():
        assert folder.root.stat().st_mode & 0o077 == 0


def test_a_folder_whose_making_was_killed_can_be_used(folder: BackupFolder) -> None:
    folder.root.mkdir()
    (folder.root / "text2song-backup.part").write_text("{")
    with folder.writing():
        pass
    with folder.reading():
        pass


def test_one_writes_or_many_read(folder: BackupFolder) -> None:
    again = BackupFolder(folder.root)
    with folder.writing():
        for refused in (again.writing(), again.reading()):
            with pytest.raises(Conflict, match="another process"), refused:
                pass
    with folder.reading(), again.reading(), pytest.raises(Conflict), BackupFolder(folder.root).writing():
        pass


def test_only_what_is_finished_counts_and_the_rest_goes(folder: BackupFolder) -> None:
    with folder.writing():
        first = folder.finish(folder.begin(START), MANIFEST)
        unfinished = folder.begin(START)
        (unfinished / "users.jsonl.gz").write_bytes(b"half")
        (folder.root / ".passing-1").write_bytes(b"half")
        assert [snapshot.name for snapshot in folder.snapshots()] == [first.name]
    with folder.writing():
        second = folder.finish(folder.begin(START), MANIFEST)
    assert not (folder.root / ".passing-1").exists()
    assert [first.name, second.name] == ["20260101T120000Z-01", "20260101T120000Z-02"]
    assert folder.snapshots() == [second, first]
    assert (folder.find(None), folder.find(first.name)) == (second, first)


def test_a_snapshot_that_is_not_there_is_told(folder: BackupFolder) -> None:
    with folder.writing():
        with pytest.raises(InvalidInput, match="no finished snapshot"):
            folder.find(None)
        folder.finish(folder.begin(START), MANIFEST)
    with pytest.raises(InvalidInput, match="there is 20260101T120000Z-01"):
        folder.find("20250101T120000Z-01")


def test_a_damaged_manifest_is_told(folder: BackupFolder) -> None:
    with folder.writing():
        snapshot = folder.finish(folder.begin(START), MANIFEST)
    (snapshot.folder / "manifest.json").write_text("{}")
    with pytest.raises(BackupDamaged, match="damaged"):
        folder.find(None)
