"""The model that comes with the package: whole, as it says of itself, played where it lies, the default."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.cli.console import Console
from text2song.errors import ModelCorrupt
from text2song.model import library
from text2song.model.library import BUNDLED_PLACE, resolve
from text2song.model.manifest import Manifest
from text2song.model.musicgen import MusicGen
from text2song.model.protocol import GeneratedTake, play
from text2song.music.spec import GenerationSpec
from text2song.names import BUNDLED_FOLDER, BUNDLED_MODEL

FILES = {
    "README.md",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "processor_config.json",
    "text2song.json",
    "tokenizer.json",
    "tokenizer_config.json",
}
DAMAGES = ["config.json", "model.safetensors", "text2song.json", "tokenizer.json"]


@pytest.fixture
def fresh(tmp_path: Path) -> Console:
    """Commands as a newcomer has them: a home that is not there yet, and no model that anybody named."""
    return Console(tmp_path / "home", settings={"TEXT2SONG_MODEL": ""})


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another place for the package's model, for those who damage it."""
    place = tmp_path / "package" / BUNDLED_FOLDER
    shutil.copytree(BUNDLED_PLACE, place)
    monkeypatch.setattr(library, "BUNDLED_PLACE", place)
    return place


@pytest.fixture
def untouched() -> Iterator[None]:
    """Nothing was written to the package, not even for a moment: it may be root's."""
    before = BUNDLED_PLACE.stat().st_mtime_ns
    yield
    assert BUNDLED_PLACE.stat().st_mtime_ns == before


def test_it_is_whole_and_says_what_it_is() -> None:
    assert {path.name for path in BUNDLED_PLACE.iterdir()} == FILES
    manifest = Manifest.read(BUNDLED_PLACE)
    assert manifest.id == BUNDLED_MODEL
    assert manifest.license == "Apache-2.0"
    assert manifest.is_trained
    assert manifest.fingerprint is not None
    assert manifest.vocabulary is not None
    document = json.loads((BUNDLED_PLACE / "text2song.json").read_text())
    assert document == manifest.as_json()  # nothing there that the studio passes over
    assert library.bundled_model().problem is None


@pytest.mark.usefixtures("untouched")
def test_it_plays_where_it_lies_and_nothing_is_written_there(tmp_path: Path) -> None:
    model = MusicGen.load(resolve(tmp_path / "no models", BUNDLED_MODEL))
    vocabulary = model.info.vocabulary
    assert vocabulary is not None
    sentence = f"{vocabulary.styles[0]}, {vocabulary.instruments[0]}"
    [result] = play(model, [GenerationSpec(sentence, seed=7, duration_seconds=2.0)])
    assert isinstance(result.outcome, GeneratedTake)
    assert np.abs(result.outcome.waveform.pcm).max() > 0.01
    assert model.info.id == BUNDLED_MODEL
    assert not (tmp_path / "no models").exists()


@pytest.mark.parametrize("name", DAMAGES)
@pytest.mark.parametrize("is_lost", [True, False])
def test_what_is_damaged_or_lost_comes_back_with_the_program(
    copy: Path, fresh: Console, name: str, *, is_lost: bool
) -> None:
    if is_lost:
        (copy / name).unlink()
    else:
        os.truncate(copy / name, (copy / name).stat().st_size // 2)
    with pytest.raises(ModelCorrupt, match="It came with the program: install that again"):
        MusicGen.load(resolve(fresh.home / "models", BUNDLED_MODEL))
    if name != "tokenizer.json":  # which is no part of the fingerprint
        [row] = fresh.run("model", "list", "--json").document()["models"]
        assert row["id"] == BUNDLED_MODEL
        assert "install that again" in row["problem"]
        said = fresh.run("doctor", "--json")
        [model] = [check for check in said.document()["checks"] if check["name"] == "model"]
        assert (said.code, model["state"]) == (1, "problem")
        assert "install that again" in model["found"]


def test_a_package_without_it_says_so_too(copy: Path, fresh: Console) -> None:
    shutil.rmtree(copy)
    said = fresh.run("generate", "hello", "--json")
    assert (said.code, said.error()["code"]) == (3, "model_corrupt")
    assert "install that again" in said.error()["message"]


def test_it_is_listed_with_its_words_and_served_until_another_is_named(fresh: Console) -> None:
    vocabulary = Manifest.read(BUNDLED_PLACE).vocabulary
    assert vocabulary is not None
    [row] = fresh.run("model", "list", "--json").document()["models"]
    assert (row["id"], row["is_served"], row["problem"]) == (BUNDLED_MODEL, True, None)
    assert row["vocabulary"] == vocabulary.as_json()
    first, *lines = fresh.run("model", "list").out.splitlines()
    assert first.startswith(BUNDLED_MODEL)
    assert first.endswith("served")
    assert lines[:-1] == [f"  {line}" for line in vocabulary.as_lines()]
    assert "text2song model add facebook/musicgen-small" in lines[-1]
    [row] = fresh.run("model", "list", "--json", MODEL="somebody/something").document()["models"]
    assert not row["is_served"]


@pytest.mark.parametrize("source", [BUNDLED_MODEL, str(BUNDLED_PLACE)])
def test_it_is_not_added_from_anywhere(fresh: Console, source: str) -> None:
    said = fresh.run("model", "add", source, "--yes", "--json")
    assert (said.code, said.error()["code"]) == (2, "invalid_input")
    assert f"has {BUNDLED_MODEL} by itself: there is nothing to add" in said.error()["message"]


def test_another_that_takes_its_name_is_not_served_by_it(fresh: Console) -> None:
    shutil.copytree(BUNDLED_PLACE, fresh.home / "models" / "text2song--bundled")
    assert resolve(fresh.home / "models", BUNDLED_MODEL) == BUNDLED_PLACE
    ours, other = fresh.run("model", "list", "--json").document()["models"]
    assert (ours["is_served"], other["is_served"]) == (True, False)
    assert other["shadowed_by"] == str(BUNDLED_PLACE)


def test_a_prompt_without_a_word_of_its_own_is_told_which_it_knows(fresh: Console) -> None:
    vocabulary = Manifest.read(BUNDLED_PLACE).vocabulary
    assert vocabulary is not None
    strange = fresh.run("generate", "xyzzy", "--duration", "0.5", "--json")
    assert strange.code == 0, strange.err
    notice = strange.document()["job"]["notice"]
    assert strange.err.splitlines().count(notice) == 1
    assert all(line in notice for line in vocabulary.as_lines())
    assert "text2song model add facebook/musicgen-small" in notice
    known = fresh.run("generate", "xyzzy", "--style", vocabulary.styles[0], "--duration", "0.5", "--json")
    assert known.document()["job"]["notice"] is None
