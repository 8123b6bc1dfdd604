"""Make a virtual environment with all that one purpose needs; `make` runs this before most targets.

Runs before anything is installed, so it imports the standard library alone. The second run finds a
stamp, touches no network and is done in milliseconds. The stamp is written last: a set-up that was
interrupted is simply repeated.
"""

import argparse
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

UV_VERSION: Final = "0.13.9"
ROOT: Final = Path(__file__).resolve().parent.parent
QUIET_PIP: Final = ("--disable-pip-version-check", "install", "--quiet")
PYLOCK: Final = ("--preview-features", "pylock")
"""uv calls the format experimental; its version is pinned above."""
TORCH_FROM_INDEX: Final = "TORCH_FROM_INDEX"
"""Set to anything, torch comes from the index of all other packages: its own may be out of reach."""
STAMP: Final = "set-up.json"
TIMEOUT_SECONDS: Final = 10.0
"""For asking how long one file is."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment: where it is, which extra of the package it holds, and what beside it."""

    folder: str
    extra: str | None
    """None: nothing of the package at all."""
    beside: tuple[str, ...] = ()

    @property
    def purpose(self) -> str:
        """For the person who waits."""
        return f"text2song[{self.extra}]" if self.extra else " and ".join(self.beside)


ENVIRONMENTS: Final = {
    "studio": Environment(".venv", "studio"),
    "dev": Environment(".venv", "dev"),
    # Proves that the model layer works without the server's packages. transformers and peft are oracles.
    "model": Environment(
        ".venv-model",
        "model",
        ("hypothesis", "peft>=0.21", "pytest", "pytest-timeout", "pytest-xdist", "transformers>=5.23,<6"),
    ),
    # The tests' S3 server, which replaces Python's sockets with its own: it runs in no process of ours.
    "s3": Environment(".venv-s3", None, ("swift",)),
}
HOLDS: Final = {"studio": ("studio", "dev"), "dev": ("dev",), "model": ("model",), "s3": ("s3",)}
"""Which environments satisfy a wish for one."""


@dataclass(frozen=True, slots=True)
class Download:
    """What a lock file names: how many packages, how many bytes, and whose size nobody could tell."""

    packages: int
    size_bytes: int
    unknown: tuple[str, ...]


def fingerprint(root: Path) -> str:
    """A digest of the files that decide what is installed."""
    digest = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt", "tools/set_up.py"):
        digest.update((root / name).read_bytes())
    return digest.hexdigest()


def read_stamp(folder: Path) -> dict[str, str]:
    """What the last complete set-up left, or nothing."""
    try:
        stamp: dict[str, str] = json.loads((folder / STAMP).read_text())
    except (OSError, ValueError):
        return {}
    return stamp


def write_stamp(folder: Path, *, name: str, root: Path) -> None:
    """Leave word that the set-up of `name` is complete."""
    stamp = {"name": name, "root": str(root), "fingerprint": fingerprint(root)}
    (folder / STAMP).write_text(json.dumps(stamp))


def is_ready(folder: Path, *, name: str, root: Path) -> bool:
    """Whether the environment in `folder` already holds what `name` asks for, at this place."""
    stamp = read_stamp(folder)
    is_same = stamp.get("root") == str(root) and stamp.get("fingerprint") == fingerprint(root)
    return is_same and stamp.get("name") in HOLDS[name] and (folder / "bin" / "python").exists()


def shared_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` where pip, which fetches uv, and uv hear the same: neither reads the other's variables."""
    links = environ.get("UV_FIND_LINKS") or ",".join(environ.get("PIP_FIND_LINKS", "").split())
    index = environ.get("UV_DEFAULT_INDEX") or environ.get("PIP_INDEX_URL", "")
    offline = environ.get("UV_OFFLINE") or environ.get("PIP_NO_INDEX", "")
    shared = {
        "UV_FIND_LINKS": links,
        "UV_DEFAULT_INDEX": index,
        "UV_OFFLINE": offline,
        "PIP_FIND_LINKS": environ.get("PIP_FIND_LINKS") or links.replace(",", " "),
        "PIP_INDEX_URL": environ.get("PIP_INDEX_URL")
        or re.sub(r"^[\w.-]+=", "", index),  # uv allows NAME=URL
        "PIP_NO_INDEX": environ.get("PIP_NO_INDEX") or offline,
    }
    return {**environ, **{name: value for name, value in shared.items() if value}}


def torch_options(environ: Mapping[str, str]) -> list[str]:
    """Let uv choose the build of torch that fits the machine, unless the person has chosen.

    The registry's own build for Linux carries CUDA: gigabytes that a machine without a GPU cannot use.
    """
    choices = ("UV_FIND_LINKS", "PIP_FIND_LINKS", "UV_TORCH_BACKEND", TORCH_FROM_INDEX)
    return [] if any(environ.get(name) for name in choices) else ["--torch-backend=auto"]


def _size_bytes(file: Mapping[str, Any]) -> int | None:
    if "size" in file:
        return int(file["size"])
    try:
        request = urllib.request.Request(file["url"], method="HEAD")  # noqa: S310  # from uv's own lock file
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310  # as above
            return int(answer.headers["Content-Length"])
    except (KeyError, OSError, TypeError, ValueError):
        return None


def measure_download(lock: Mapping[str, Any]) -> Download:
    """Sum the sizes in a lock file; of several wheels that fit, the largest counts."""
    packages = [p for p in lock.get("packages", []) if "directory" not in p]
    total_bytes, unknown = 0, []
    for package in packages:
        files = package.get("wheels") or [package.get("sdist", {})]
        sizes = [size for file in files if (size := _size_bytes(file)) is not None]
        total_bytes += max(sizes, default=0)
        if not sizes:
            unknown.append(package["name"])
    return Download(len(packages), total_bytes, tuple(unknown))


def describe_download(download: Download) -> str:
    """One line for the person who waits."""
    line = (
        f"Downloads at most {download.size_bytes / 1e6:,.0f} MB in {download.packages} packages"
        " (less where uv has some of them in its cache)."
    )
    if download.unknown:
        line += f" Not counted, because the index does not tell: {', '.join(download.unknown)}."
    return line


def advice(command: Sequence[str]) -> str:
    """What a person can do about a step that failed, with the variables that lead around it."""
    ways = {
        "UV_DEFAULT_INDEX=URL": "packages from a mirror of PyPI",
        "UV_OFFLINE=1 PIP_FIND_LINKS=FOLDER": "no network: every package from a folder of wheels,"
        " those of uv, torch, hatchling and editables included",
    }
    if "--torch-backend=auto" in command:
        ways[f"{TORCH_FROM_INDEX}=1"] = (
            "where only torch's own index is out of reach: torch from the index of all other packages"
            " (on Linux that is the build with CUDA: gigabytes)"
        )
    told = "\n".join(f"  {way}\n      {meaning}" for way, meaning in ways.items())
    return (
        "The lines above say why. Mend that, or set one of these before `make`, and run the same command"
        f" again; it goes on from here.\n{told}"
    )


def _run(command: Sequence[str | Path], *, environ: Mapping[str, str]) -> None:
    """Run one step in the root folder."""
    words = [str(word) for word in command]
    try:
        subprocess.run(words, check=True, cwd=ROOT, env=environ)
    except OSError as error:
        raise _stopped(words, why=f"cannot be run ({error.strerror})") from None
    except subprocess.CalledProcessError as error:
        raise _stopped(words, why=f"ended with {error.returncode}") from None


def _stopped(words: Sequence[str], *, why: str) -> SystemExit:
    return SystemExit(f"Set-up stopped: `{shlex.join(words)}` {why}.\n{advice(words)}")


def fetch_uv(folder: Path, *, environ: Mapping[str, str]) -> None:
    """With pip, whose warnings of places that do not exist are passed on only where nothing else has uv."""
    words = [str(folder / "bin" / "python"), "-m", "pip", *QUIET_PIP, f"uv=={UV_VERSION}"]
    held_back = []
    with subprocess.Popen(words, cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr or ():
            if line.startswith("WARNING: Location "):
                held_back.append(line)
            else:
                sys.stderr.write(line)
    if process.returncode:
        sys.stderr.writelines(held_back)
        raise _stopped(words, why=f"ended with {process.returncode}")


def _clear_if_moved(folder: Path) -> None:
    """Remove an environment whose Python is gone or whose scripts point to where it once was."""
    moved = read_stamp(folder).get("root", str(ROOT)) != str(ROOT)
    if folder.exists() and (moved or not (folder / "bin" / "python").exists()):
        shutil.rmtree(folder)


def install(wish: Environment, *, folder: Path, environ: Mapping[str, str]) -> None:
    """Lock, say how much will be downloaded, and install it, with the package in place if it is wanted."""
    python, uv, lock = folder / "bin" / "python", folder / "bin" / "uv", folder / "pylock.toml"
    beside = folder / "beside.in"
    beside.write_text("".join(f"{requirement}\n" for requirement in wish.beside))
    resolve: list[str | Path] = [
        uv,
        *PYLOCK,
        "pip",
        "compile",
        "--quiet",
        "--python",
        python,
        *torch_options(environ),
    ]
    resolve += ["--extra", wish.extra, "pyproject.toml"] if wish.extra else []
    resolve += ["--constraints", "constraints.txt", beside]
    _run([*resolve, "--format", "pylock.toml", "--output-file", lock], environ=environ)
    print(describe_download(measure_download(tomllib.loads(lock.read_text()))), flush=True)
    install: list[str | Path] = [uv, "pip", "install", "--python", python]
    _run([*install, *PYLOCK, "--requirements", lock], environ=environ)
    if wish.extra:
        _run([*install, "--quiet", "--no-deps", "--editable", "."], environ=environ)


def set_up(name: str) -> None:
    """Make or bring up to date the environment called `name`."""
    wish = ENVIRONMENTS[name]
    folder = ROOT / wish.folder
    if is_ready(folder, name=name, root=ROOT):
        return
    environ = shared_environment(os.environ)
    _clear_if_moved(folder)
    (folder / STAMP).unlink(missing_ok=True)
    print(f"Setting up {wish.folder} for {wish.purpose}.", flush=True)
    if not folder.exists():
        _run([sys.executable, "-m", "venv", folder], environ=environ)
    fetch_uv(folder, environ=environ)
    install(wish, folder=folder, environ=environ)
    write_stamp(folder, name=name, root=ROOT)


def main() -> None:
    """Read the purpose from the command line."""
    parser = argparse.ArgumentParser(description="Make a virtual environment for one purpose.")
    parser.add_argument("name", choices=sorted(ENVIRONMENTS))
    set_up(parser.parse_args().name)


if __name__ == "__main__":
    main()
