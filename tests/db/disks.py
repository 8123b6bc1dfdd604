"""Small real disks for tests that fill one or forbid writing to it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, *, megabytes: int) -> Iterator[Path]:
    """A disk of its own at `folder`; the test is skipped where none can be mounted."""
    if os.geteuid() != 0:
        pytest.skip("a small disk can be mounted by root alone: run as root")
    folder.mkdir()
    kind = ["-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs"]
    mounted = subprocess.run(["mount", *kind, str(folder)], check=False, capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"this machine lets nobody mount a small disk: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def forbid_writing(disk: Path) -> None:
    """From now on the disk can only be read."""
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)


def fill(filler: Path) -> None:
    """Take all the space that the disk has left."""
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
