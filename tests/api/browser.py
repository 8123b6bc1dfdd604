"""A real browser without a network, for what only a browser decides."""

import shutil
import subprocess
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
    # a stranger's name that points here, as in DNS rebinding; no other name leads anywhere
    f"--host-resolver-rules=MAP {STRANGER} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--enable-logging=stderr",
    "--virtual-time-budget=10000",
    "--dump-dom",
)


def visit(url: str, *, profile: Path, flags: tuple[str, ...] = ()) -> tuple[str, list[str]]:
    """The page's document once its scripts have run, and what the browser's console said."""
    shown = subprocess.run(
        [CHROMIUM or "chromium", *_FLAGS, *flags, f"--user-data-dir={profile}", url],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return shown.stdout, [line for line in shown.stderr.splitlines() if "CONSOLE" in line]
