"""What memory this process may still take on a processor, by what the system tells. Needs no torch.

A machine says how much is free, and a container may have been given less than its machine has. Of a GPU,
`device.free_on` tells.
"""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

KEPT_SHARE: Final = 0.2
"""Of what is free, left for what no formula counts: the server around the model, what torch keeps for its
kernels, holes between blocks, encoded sentences, and the system's copies of files, without which every other
program becomes slow."""
_ROOT: Final = Path("/")


class _Group(NamedTuple):
    """The names of a control group's files, and of what it could forget at once."""

    limit: str
    usage: str
    forgettable: str


_V1: Final = _Group("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_V2: Final = _Group("memory.max", "memory.current", "inactive_file")


def usable_bytes(free_bytes: int) -> int:
    """What a model may take of what is free."""
    return int(free_bytes * (1 - KEPT_SHARE))


def free_bytes(root: Path = _ROOT) -> int | None:
    """Bytes that are free for this process; None where no system says.

    The smaller of what Linux calls available and of what is left of every control group that the process is
    in, version 1 or 2; files that the group could forget count as free, as for the machine. Elsewhere all
    memory that is there. `root` is where `/proc` and `/sys` are.
    """
    available = _available_bytes(root)
    if available is None:
        return _physical_bytes()
    return max(0, min([available, *_left_in_groups(root)]))


def _available_bytes(root: Path) -> int | None:
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _physical_bytes() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows has no such call, others not these names
        return None


def _left_in_groups(root: Path) -> Iterator[int]:
    """What each group leaves that has a limit: the process's own and those that it lies in."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, place = line.split(":", 2)
        if not controllers:
            yield from _left_from(root / "sys/fs/cgroup", place, _V2)
        elif "memory" in controllers.split(","):
            yield from _left_from(root / "sys/fs/cgroup/memory", place, _V1)


def _left_from(mount: Path, place: str, names: _Group) -> Iterator[int]:
    # In a container the path may be the machine's, of which only the root is seen, where its own files are.
    own = PurePosixPath(place.lstrip("/"))
    for folder in (own, *own.parents):
        limit, usage = (_number(mount / folder / name) for name in (names.limit, names.usage))
        if limit is not None and usage is not None:
            yield limit - usage + _forgettable_bytes(mount / folder / "memory.stat", names.forgettable)


def _forgettable_bytes(path: Path, name: str) -> int:
    return next((int(line.split()[1]) for line in _lines(path) if line.split()[0] == name), 0)


def _number(path: Path) -> int | None:
    """None for `max`, and where there is no such file."""
    text = "".join(_lines(path))
    return int(text) if text.isdecimal() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
