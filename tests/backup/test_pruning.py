import pytest

from tests.audio.samples import delete, make_sample
from text2song.backup.checking import check
from text2song.backup.folder import BackupFolder
from text2song.backup.pruning import Pruned
from text2song.backup.taking import take
from text2song.errors import BackupDamaged, InvalidInput
from text2song.studio import Studio


def test_old_snapshots_go_with_the_bytes_that_only_they_name(studio: Studio, folder: BackupFolder) -> None:
    first = make_sample(studio)
    take(studio, folder)
    make_sample(studio, seed=1)
    delete(studio, first)
    take(studio, folder)
    newest = take(studio, folder, keep=2)
    assert newest.pruned == Pruned(snapshots=1, blobs=3)
    assert len(list(folder.stored_keys())) == 3
    assert len(folder.snapshots()) == 2
    assert check(folder, tuple(folder.snapshots())).faults == ()


def test_all_stay_where_nobody_says_how_many(studio: Studio, folder: BackupFolder) -> None:
    for _ in range(3):
        assert take(studio, folder).pruned == Pruned()
    assert len(folder.snapshots()) == 3


def test_bytes_that_a_killed_process_left_go_too(studio: Studio, folder: BackupFolder) -> None:
    make_sample(studio)
    take(studio, folder)
    folder.blobs.put(b"copied, and then killed", folder="audio", suffix=".flac")
    assert take(studio, folder, keep=5).pruned == Pruned(snapshots=0, blobs=1)


def test_nothing_goes_while_a_snapshot_cannot_be_read(studio: Studio, folder: BackupFolder) -> None:
    make_sample(studio)
    old = take(studio, folder).snapshot
    take(studio, folder)
    (old.folder / "manifest.json").write_text("spoiled")
    with pytest.raises(BackupDamaged):
        take(studio, folder, keep=1)
    assert len(list(folder.stored_keys())) == 3
    assert old.folder.exists()


def test_no_snapshot_at_all_cannot_be_asked_for(studio: Studio, folder: BackupFolder) -> None:
    with pytest.raises(InvalidInput, match="1 is the least"):
        take(studio, folder, keep=0)
