"""What Linux says of memory, on machines that these tests make up, and what other systems say."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from text2song.model.free_memory import free_bytes, usable_bytes

MACHINE_FREE = 1000 * 1024
V2 = "sys/fs/cgroup"
V1 = "sys/fs/cgroup/memory"


def machine(root: Path, *, groups: str, files: Mapping[str, str]) -> Path:
    """A root with these files, on which 1,000 KiB are free."""
    contents = {
        "proc/meminfo": "MemTotal:  4000 kB\nMemFree:  10 kB\nMemAvailable:    1000 kB\nSwapFree: 5 kB\n",
        "proc/self/cgroup": groups,
        **files,
    }
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def limits(folder: str, *, limit: str, usage: int, forgettable: int = 0) -> dict[str, str]:
    names = ("memory.max", "memory.current", "inactive_file")
    if folder.startswith(V1):
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    return {
        f"{folder}/{names[0]}": f"{limit}\n",
        f"{folder}/{names[1]}": f"{usage}\n",
        f"{folder}/memory.stat": f"anon 5\n{names[2]} {forgettable}\nactive_file 9\n",
    }


CASES: dict[str, tuple[str, dict[str, str], int]] = {
    "no groups": ("", {}, MACHINE_FREE),
    "no limit": ("0::/\n", limits(V2, limit="max", usage=7), MACHINE_FREE),
    "a container's limit": ("0::/\n", limits(V2, limit="500000", usage=100_000), 400_000),
    "what could be forgotten is free": (
        "0::/\n",
        limits(V2, limit="500000", usage=100_000, forgettable=30_000),
        430_000,
    ),
    "a limit above what the machine has": ("0::/\n", limits(V2, limit="9000000", usage=0), MACHINE_FREE),
    "more used than allowed": ("0::/\n", limits(V2, limit="1000", usage=5000), 0),
    "the tightest group counts": (
        "0::/outer/inner\n",
        limits(f"{V2}/outer/inner", limit="800000", usage=0)
        | limits(f"{V2}/outer", limit="600000", usage=100_000)
        | limits(V2, limit="max", usage=300_000),
        500_000,
    ),
    "a path of which only the root is seen": (
        "0::/system.slice/docker-5.scope\n",
        limits(V2, limit="300000", usage=0),
        300_000,
    ),
    "version 1": (
        "9:name=systemd:/\n4:memory:/own\n3:cpu:/other\n",
        limits(f"{V1}/own", limit="700000", usage=100_000, forgettable=50_000),
        650_000,
    ),
    "version 1 without a limit": (
        "4:cpu,memory:/own\n0::/\n",
        limits(f"{V1}/own", limit="9223372036854771712", usage=100_000),
        MACHINE_FREE,
    ),
    "another controller's group": (
        "3:cpu:/own\n",
        limits(f"{V1}/own", limit="700000", usage=0),
        MACHINE_FREE,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_smaller_of_what_the_machine_has_and_what_the_group_leaves(tmp_path: Path, case: str) -> None:
    groups, files, expected = CASES[case]
    assert free_bytes(machine(tmp_path, groups=groups, files=files)) == expected


def test_elsewhere_all_memory_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"SC_PHYS_PAGES": 300, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__, raising=False)
    assert free_bytes(tmp_path) == 300 * 4096


def test_where_no_system_says_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sysconf", raising=False)
    assert free_bytes(tmp_path) is None


def test_this_machine_has_some() -> None:
    free = free_bytes()
    assert free is None or 10**7 < free < 10**15


def test_a_fifth_of_what_is_free_is_left() -> None:
    assert usable_bytes(1000) == 800
