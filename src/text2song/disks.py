"""What the operating system says of disks, for every floor that writes."""

import errno
from typing import Final

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def is_disk_full(error: OSError) -> bool:
    """Whether there is no room left, on the disk itself or within this person's share of it."""
    return error.errno in _FULL
