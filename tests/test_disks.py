import errno
from pathlib import Path

import pytest

from tests.db.disks import forbid_writing, small_disk
from text2song.disks import is_disk_full, try_to_write


@pytest.mark.parametrize(
    ("number", "is_full"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EROFS, False)]
)
def test_a_full_disk_and_a_full_share_of_it_are_the_same(number: int, *, is_full: bool) -> None:
    assert is_disk_full(OSError(number, "the disk says no")) is is_full


def test_an_error_without_a_number_is_another() -> None:
    assert not is_disk_full(OSError("no number"))


def test_a_folder_that_can_be_written_stays_as_it_was(tmp_path: Path) -> None:
    try_to_write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_for_a_block_says_so(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", megabytes=1) as disk:
        (disk / "stuffing").write_bytes(bytes(1024 * 1024))
        with pytest.raises(OSError, match="No space left"):
            try_to_write(disk)
        assert [path.name for path in disk.iterdir()] == ["stuffing"]


def test_a_disk_that_can_only_be_read_says_so(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", megabytes=1) as disk:
        forbid_writing(disk)
        with pytest.raises(OSError, match="Read-only"):
            try_to_write(disk)
