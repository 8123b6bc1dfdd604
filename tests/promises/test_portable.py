"""Nothing in the project names a package registry or a folder of somebody's machine.

Where packages come from is the choice of whoever installs: their own configuration of pip and uv.
"""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]

REGISTRIES = re.compile(
    r"\bpypi\.org|pythonhosted\.org|download\.pytorch\.org|registry\.npmjs\.org|registry\.yarnpkg\.com"
    r"|conda\.anaconda\.org|deb\.debian\.org|registry-1\.docker\.io",
    re.IGNORECASE,
)
MACHINE_PATHS = re.compile(r"(?<![\w.~/:-])/(?:work|root|home/\w+|Users/\w+)/")


def project_texts() -> dict[str, str]:
    """Every file that belongs to the project, by name, as far as it is text."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    texts = {}
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if path == Path(__file__) or not path.is_file():
            continue
        try:
            texts[name] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return texts


def found(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name}: {match.group()}"
        for name, text in project_texts().items()
        for match in pattern.finditer(text)
    ]


def test_no_registry_is_named() -> None:
    assert found(REGISTRIES) == []


def test_no_path_of_a_machine_is_named() -> None:
    assert found(MACHINE_PATHS) == []


def test_the_patterns_find_what_they_are_for() -> None:
    assert REGISTRIES.search("https://pypi.org/simple")
    assert MACHINE_PATHS.search('open("/home/ada/music")')
    assert not MACHINE_PATHS.search("the /work endpoint and ~/work/ and http://x/work/")
    assert "pyproject.toml" in project_texts()
