"""What all files of `deploy/` must keep: names that exist, versions that stand still, and no secrets."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.deploy.papers import (
    DEPLOY,
    DOCKERFILES,
    FILES,
    MANIFESTS,
    SETTINGS,
    compose,
    documents,
    instructions,
    require_command,
)
from tests.figures import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
IMAGE = re.compile(r"\b(?:image: *|PYTHON=)(\S+)")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_setting_that_is_named_exists(path: Path) -> None:
    text = path.read_text()
    assert set(re.findall(r"TEXT2SONG_[A-Z_]*[A-Z]", text)) <= SETTINGS


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_image_has_a_version(path: Path) -> None:
    for image in IMAGE.findall(path.read_text()):
        name, _, tag = image.partition(":")
        assert name
        assert re.search(r"\d+\.\d+", tag), image
    assert ":latest" not in path.read_text()


def test_our_own_images_have_the_version_of_the_package() -> None:
    for path in FILES:
        for tag in re.findall(r"text2song-(?:api|worker):(\d[\w.]*)", path.read_text()):
            assert tag == PROJECT["version"], path.name
    [kustomization] = documents(DEPLOY / "kubernetes" / "kustomization.yaml")
    assert {image["newTag"] for image in kustomization["images"]} == {PROJECT["version"]}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_secret_is_written_down(path: Path) -> None:
    text = path.read_text()
    for name, value in re.findall(
        r"(?im)^[ \t]*-?[ \t]*\"?([\w-]*(?:password|secret_?key|token)\w*)\"?[ \t]*[:=][ \t]*(.*)$", text
    ):
        is_hole = not value or value.startswith(("${", '"${', "false"))
        assert is_hole, f"{name} is written down"
    for password in re.findall(r"://[^/\s:]*:([^@/\s]+)@", text):
        assert password.startswith("${"), password


def test_the_environment_has_a_place_for_every_variable_of_compose() -> None:
    holes = set(re.findall(r"\$\{([A-Z0-9_]+):\?", (DEPLOY / "compose.yaml").read_text()))
    listed = re.findall(r"^([A-Z0-9_]+)=", (DEPLOY / "example.env").read_text(), flags=re.MULTILINE)
    assert set(listed) == holes


def commands_of_images() -> list[list[str]]:
    """What containers are told to run, wherever it is said."""
    told = [rest for path in DOCKERFILES for name, rest in instructions(path) if name == "CMD"]
    found = [[word.strip().strip('"') for word in rest.strip("[]").split(",")] for rest in told]
    services = compose()["services"].values()
    found += [s["command"] for s in services if s["image"].startswith("text2song-")]
    for path in MANIFESTS:
        for document in documents(path):
            containers = document.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])
            found += [container["args"] for container in containers]
    return found


@pytest.mark.parametrize("words", commands_of_images(), ids=" ".join)
def test_every_command_exists_with_its_options(words: list[str]) -> None:
    require_command(words)


def test_a_command_that_does_not_exist_would_be_found() -> None:
    assert len(commands_of_images()) >= 8
    for words in (["sreve"], ["serve", "--prot", "1"], ["db"]):
        with pytest.raises(Exception, match=r"names no command|has no|Missing|No such"):
            require_command(words)
