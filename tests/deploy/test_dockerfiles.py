"""The images, as far as they can be judged without building them."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.deploy.papers import DOCKERFILES, instructions
from tests.figures import ROOT
from tools.set_up import UV_VERSION

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
class TestEachImage:
    def test_it_runs_as_nobody_in_particular(self, path: Path) -> None:
        users = [rest for name, rest in instructions(path) if name == "USER"]
        assert users == ["10001:10001"]  # a number: Kubernetes cannot tell of a name that it is not root
        assert f"--uid {users[0].partition(':')[0]}" in path.read_text()

    def test_it_installs_extras_that_exist(self, path: Path) -> None:
        [asked] = re.findall(r'"\.\[([a-z,]+)\]"', path.read_text())
        assert set(asked.split(",")) <= set(EXTRAS)
        assert "constraints.txt" in path.read_text()

    def test_it_has_two_stages_and_no_tools_of_the_first(self, path: Path) -> None:
        stages = [rest for name, rest in instructions(path) if name == "FROM"]
        assert stages == ["${PYTHON} AS build", "${PYTHON}"]
        last = path.read_text().rpartition("FROM ")[2]
        assert "uv " not in last
        assert "pip" not in last

    def test_what_it_copies_is_there_and_reaches_the_builder(self, path: Path) -> None:
        copied = [
            rest.split() for name, rest in instructions(path) if name == "COPY" and "--from" not in rest
        ]
        wanted = {word for words in copied for word in words[:-1]}
        assert {word for word in wanted if not (ROOT / word).exists()} == set()
        let_in = (path.parent / f"{path.name}.dockerignore").read_text()
        assert {f"!{word.partition('/')[0]}" for word in wanted} <= set(let_in.splitlines())

    def test_it_has_the_tools_and_the_python_of_the_gate(self, path: Path) -> None:
        assert f"ARG UV_VERSION={UV_VERSION}\n" in path.read_text()
        assert re.search(r"^ARG PYTHON=python:3\.11\.", path.read_text(), flags=re.MULTILINE)

    def test_it_can_be_asked_whether_it_is_well_and_starts_the_studio(self, path: Path) -> None:
        named = [name for name, _ in instructions(path)]
        assert named.count("HEALTHCHECK") == 1
        assert ("ENTRYPOINT", '["text2song"]') in list(instructions(path))


def extras_of(path: Path) -> set[str]:
    [asked] = re.findall(r'"\.\[([a-z,]+)\]"', path.read_text())
    return set(asked.split(","))


def test_the_api_has_no_torch_and_the_worker_has() -> None:
    api, worker = DOCKERFILES
    assert not extras_of(api) & {"model", "studio", "dev"}
    assert "studio" in extras_of(worker)
    assert "torch" not in "".join(rest for _, rest in instructions(api))


def test_whatever_a_setting_asks_of_an_api_is_in_its_image() -> None:
    needed = {"server", "postgres", "celery", "oidc", "telemetry"}
    assert needed <= set(EXTRAS)
    assert extras_of(DOCKERFILES[0]) == needed


def test_the_worker_is_built_for_a_cpu_or_for_cuda() -> None:
    text = DOCKERFILES[1].read_text()
    assert "ARG TORCH_BACKEND=cpu\n" in text
    assert '--torch-backend "${TORCH_BACKEND}"' in text
