import errno

import pytest

from text2song.disks import is_disk_full


@pytest.mark.parametrize(
    ("number", "is_full"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EROFS, False)]
)
def test_a_full_disk_and_a_full_share_of_it_are_the_same(number: int, *, is_full: bool) -> None:
    assert is_disk_full(OSError(number, "the disk says no")) is is_full


def test_an_error_without_a_number_is_another() -> None:
    assert not is_disk_full(OSError("no number"))
