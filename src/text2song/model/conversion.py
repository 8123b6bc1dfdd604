"""Starts the conversion of pickled weights in a process of its own; see `convert.py`. Needs no torch here."""

import subprocess
import sys
from pathlib import Path
from typing import Final

from text2song.errors import ModelCorrupt
from text2song.model.weights import SINGLE_NAME

REFUSED_STATUS: Final = 3
"""Exit status that says: the message on standard error is for a person."""


def convert_apart(source: Path, target: Path) -> Path:
    """Write `target/model.safetensors` from the pickled weights in `source`, in another process.

    Raises:
        ModelMissing: there are no pickled weights.
        ModelCorrupt: they hold anything but tensors, or are damaged.
    """
    command = [sys.executable, "-m", "text2song.model.convert", str(source), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own program, no shell
    if done.returncode == 0:
        return target / SINGLE_NAME
    words = done.stderr.strip()
    if done.returncode != REFUSED_STATUS:
        last = words.splitlines()[-1] if words else f"exit status {done.returncode}"
        words = (
            f"The weights in {source} could not be converted ({last}). Check the free memory and disk space."
        )
    raise ModelCorrupt(words)
