"""Programs beside which the studio is measured, and how much of the processors each of them takes."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.raw_http import Connection
from tests.servers import free_port

START_SECONDS: Final = 60.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@contextmanager
def running(
    command: Sequence[str], *, port: int, environment: Mapping[str, str] | None = None
) -> Iterator[int]:
    """A program from when it listens on `port` until the `with` block ends; gives its process's id."""
    process = subprocess.Popen(command, env=environment)
    try:
        until = time.monotonic() + START_SECONDS
        while not _listens(port):
            assert process.poll() is None, command
            assert time.monotonic() < until, command
            time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextmanager
def nginx(folder: Path, *, sounds: Iterable[Path]) -> Iterator[tuple[int, int]]:
    """An nginx with copies of these files at its root; gives its port and its process's id."""
    program = shutil.which("nginx")
    if program is None:
        raise SystemExit("nginx is not installed: apt-get install nginx-light")
    port = free_port()
    root = folder / "nginx"
    root.mkdir()
    for sound in sounds:
        shutil.copy(sound, root)
    folder.chmod(0o755)
    configuration = folder / "nginx.conf"
    user = "user root;" if Path("/root").owner() == Path(folder).owner() else ""
    configuration.write_text(
        f"{user} worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;\n"
        f"events {{}} http {{ access_log off; sendfile on; types {{ audio/flac flac; }}\n"
        f"keepalive_requests 100000; server {{ listen 127.0.0.1:{port}; root {root}; }} }}\n"
    )
    with running([program, "-c", str(configuration)], port=port) as pid:
        yield port, pid


def cpu_seconds(pids: Iterable[int]) -> float:
    """What these processes and all under them have taken of the processors so far (Linux)."""
    children: dict[int, list[int]] = {}
    taken: dict[int, float] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        pid = int(stat.parent.name)
        children.setdefault(int(fields[1]), []).append(pid)
        # of children that ended, too: PostgreSQL's own helpers come and go
        taken[pid] = sum(map(int, fields[11:15])) / _TICKS
    total, left = 0.0, list(pids)
    while left:
        pid = left.pop()
        total += taken.get(pid, 0.0)
        left += children.get(pid, ())
    return total


def _listens(port: int) -> bool:
    try:
        Connection(port).__exit__()
    except OSError:
        return False
    return True
