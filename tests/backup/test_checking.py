from pathlib import Path

import pytest

from tests.backup.full import fill
from text2song.backup.checking import check, require_whole
from text2song.backup.folder import BackupFolder
from text2song.backup.taking import take
from text2song.errors import BackupDamaged
from text2song.studio import Studio


@pytest.fixture(name="taken")
def take_one(studio: Studio, folder: BackupFolder) -> BackupFolder:
    fill(studio)
    take(studio, folder)
    return folder


def faults(folder: BackupFolder) -> tuple[str, ...]:
    return check(folder, tuple(folder.snapshots())).faults


def files(folder: BackupFolder) -> list[Path]:
    return sorted(path for path in folder.root.rglob("*.*") if path.is_file() and path.suffix != ".json")


def test_a_whole_backup_has_no_faults(studio: Studio, taken: BackupFolder) -> None:
    take(studio, taken)
    verdict = check(taken, tuple(taken.snapshots()))
    assert (verdict.faults, verdict.lost, verdict.blobs, len(verdict.snapshots)) == ((), (), 3, 2)
    require_whole(verdict, folder=taken)


def test_every_file_matters(taken: BackupFolder) -> None:
    checked = [path for path in files(taken) if path.parent != taken.root]
    assert len(checked) > 10
    for path in checked:
        data = path.read_bytes()
        for spoiled in (data[:-1] + bytes([data[-1] ^ 1]), data[:-1], None):
            path.unlink() if spoiled is None else path.write_bytes(spoiled)
            found = faults(taken)
            assert len(found) == 1, path
            assert path.name in found[0]
            with pytest.raises(BackupDamaged, match="Restore from another"):
                require_whole(check(taken, tuple(taken.snapshots())), folder=taken)
        path.write_bytes(data)
    assert faults(taken) == ()


def test_bytes_that_were_lost_before_are_no_fault_of_the_backup(studio: Studio, folder: BackupFolder) -> None:
    fill(studio)
    for stat in list(studio.blobs.list("audio")):
        studio.blobs.delete(stat.key)
    take(studio, folder)
    verdict = check(folder, tuple(folder.snapshots()))
    assert (verdict.faults, len(verdict.lost)) == ((), 1)
