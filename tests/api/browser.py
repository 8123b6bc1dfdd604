"""A real browser without a network, for what only a browser decides."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

CHROMIUM: Final = shutil.which("chromium") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install -y chromium")
STRANGER: Final = "evil.example"
_FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    # a stranger's name that points here, as in DNS rebinding, and names of sites; no other leads anywhere
    "--host-resolver-rules=MAP *.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--enable-logging=stderr",
)
_TO_THE_END: Final = ("--virtual-time-budget=10000", "--dump-dom")


def visit(url: str, *, profile: Path) -> tuple[str, list[str]]:
    """The page's document once its scripts have run, and what the browser's console said."""
    shown = subprocess.run(
        [*_program(profile), *_TO_THE_END, url], capture_output=True, text=True, check=True, timeout=60
    )
    return shown.stdout, [line for line in shown.stderr.splitlines() if "CONSOLE" in line]


@contextmanager
def looked_at(url: str, *, profile: Path, flags: tuple[str, ...] = ()) -> Iterator[None]:
    """The page open in a browser, in which time goes as it does: for what plays."""
    log = profile.with_suffix(".log")
    with log.open("wb") as told:
        process = subprocess.Popen(
            [*_program(profile), *flags, url], stdout=told, stderr=told, start_new_session=True
        )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _program(profile: Path) -> tuple[str, ...]:
    return (CHROMIUM or "chromium", *_FLAGS, f"--user-data-dir={profile}")
