"""What the operating system says of disks, for every floor that writes."""

import errno
import tempfile
from pathlib import Path
from typing import Final

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_BLOCK_BYTES: Final = 4096
FULL_MESSAGE: Final = "the disk is full. Nothing was lost: free some space and try again."
"""What every edge says of it."""


def is_disk_full(error: OSError) -> bool:
    """Whether there is no room left, on the disk itself or within this person's share of it."""
    return error.errno in _FULL


def try_to_write(folder: Path) -> None:
    """Write a block to a nameless file in `folder` that leaves nothing, and that no disk waits for.

    Raises:
        OSError: the folder cannot be written, or has no room for a block.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(_BLOCK_BYTES))
