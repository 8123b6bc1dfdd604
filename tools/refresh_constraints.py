"""Write constraints.txt anew: the newest versions that fit together, portable and without any host.

Run by `make constraints`, then by the whole gate, before the change is committed.
"""

import os
import re
import subprocess
from pathlib import Path
from typing import Final

from tools.set_up import ENVIRONMENTS, ROOT, shared_environment

HEADER: Final = "# Made by `make constraints`; every version here has passed the gate.\n"
HELD: Final = re.compile(r"^torch==")
"""Stays at its pin: another torch is another sound at the same seed, so it moves by hand."""
ONE_PLATFORM: Final = re.compile(r"^(nvidia|cuda|triton)[a-z0-9-]*==")
"""What only the CUDA build of torch asks for; pinning it would bind everybody to that build."""
LOCAL_VERSION: Final = re.compile(r"(==[^+\s]+)\+\S+")
"""`torch==2.13.0+cpu` names one build; `torch==2.13.0` fits all."""


def portable(resolved: str) -> str:
    """The lines of uv's answer that hold on every machine."""
    lines = (LOCAL_VERSION.sub(r"\1", line) for line in resolved.splitlines())
    return "".join(f"{line}\n" for line in lines if "==" in line and not ONE_PLATFORM.match(line))


def held(constraints: str) -> str:
    """The pins that a refresh must not move."""
    return "".join(f"{line}\n" for line in constraints.splitlines() if HELD.match(line))


def beside() -> str:
    """What the environments hold that no extra of the package names, as requirements."""
    return "".join(f"{name}\n" for name in sorted({n for e in ENVIRONMENTS.values() for n in e.beside}))


def main() -> None:
    """Ask uv, and replace the file in one step."""
    options = ["--quiet", "--no-header", "--no-annotate", "--python-version", "3.11", "--extra", "dev"]
    current = ROOT / "constraints.txt"
    requirements = ROOT / ".venv" / "beside.txt"
    requirements.write_text(beside())
    sources: list[str | Path] = ["pyproject.toml", requirements, "--constraints", "-"]
    answer = subprocess.run(
        [ROOT / ".venv" / "bin" / "uv", "pip", "compile", *options, *sources],
        check=True,
        input=held(current.read_text()),
        cwd=ROOT,
        env=shared_environment(os.environ),
        stdout=subprocess.PIPE,
        text=True,
    )
    fresh = current.with_suffix(".new")
    fresh.write_text(HEADER + portable(answer.stdout))
    fresh.replace(current)


if __name__ == "__main__":
    main()
