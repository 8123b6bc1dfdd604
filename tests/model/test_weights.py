import json
import os
from pathlib import Path

import pytest

from text2song.errors import ModelCorrupt
from text2song.model import weights
from text2song.model.weights import STAMP_NAME, fingerprint, weight_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    return tmp_path


def test_a_fingerprint_changes_with_any_byte_and_any_name(folder: Path) -> None:
    first = fingerprint(folder)
    assert len(first) == 64

    (folder / "model.safetensors").write_bytes(b"weighty")
    second = fingerprint(folder)
    (folder / "config.json").write_text("[]")
    third = fingerprint(folder)
    (folder / "notes.txt").write_text("not part of the model")

    assert len({first, second, third, fingerprint(folder)}) == 3


@pytest.fixture
def as_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """These few bytes count as so many that nobody reads them twice."""
    monkeypatch.setattr(weights, "STAMPED_BYTES", 0)


def test_small_weights_are_read_again_and_nothing_is_written(folder: Path) -> None:
    assert fingerprint(folder) == fingerprint(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]


@pytest.mark.usefixtures("as_large")
def test_a_fingerprint_is_remembered_until_a_file_changes(folder: Path) -> None:
    honest = fingerprint(folder)
    stamp = folder / STAMP_NAME
    remembered = json.loads(stamp.read_text())
    stamp.write_text(json.dumps({**remembered, "fingerprint": "remembered"}))
    assert fingerprint(folder) == "remembered"

    os.utime(folder / "model.safetensors", ns=(1, 1))
    assert fingerprint(folder) == honest


@pytest.mark.usefixtures("as_large")
@pytest.mark.parametrize("stamp", ["{", "[]", '{"files": []}'])
def test_a_damaged_memory_is_ignored(folder: Path, stamp: str) -> None:
    honest = fingerprint(folder)
    (folder / STAMP_NAME).write_text(stamp)
    assert fingerprint(folder) == honest


@pytest.mark.usefixtures("as_large")
def test_a_folder_that_cannot_be_written_to_still_has_a_fingerprint(folder: Path) -> None:
    honest = fingerprint(folder)
    (folder / STAMP_NAME).unlink()
    (folder / STAMP_NAME).mkdir()  # no file can take its place; a test may run as root, whom no mode stops
    assert fingerprint(folder) == honest
    assert sorted(p.name for p in folder.iterdir()) == [STAMP_NAME, "config.json", "model.safetensors"]


@pytest.mark.parametrize(
    "index",
    [
        "{",
        "[]",
        '{"weight_map": 3}',
        '{"weight_map": {"a": "../x.safetensors"}}',
        '{"weight_map": {"a": "x.bin"}}',
        '{"weight_map": {"a": 3}}',
    ],
)
def test_a_damaged_or_wandering_index_is_refused(folder: Path, index: str) -> None:
    (folder / "model.safetensors").rename(folder.parent / "x.safetensors")
    (folder / "model.safetensors.index.json").write_text(index)
    with pytest.raises(ModelCorrupt):
        weight_files(folder)
