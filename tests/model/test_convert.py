import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from text2song.errors import ModelCorrupt, ModelMissing
from text2song.model.conversion import convert_apart
from text2song.model.convert import convert_here


class Malicious:
    """A pickle that creates a file as soon as it is opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return (open, (str(self.mark), "w"))


def test_a_pickled_checkpoint_becomes_safetensors_in_another_process(tmp_path: Path) -> None:
    shared = torch.randn(3, 4)
    stored = {"a": shared, "b": torch.arange(5), "tied": shared, "turned": shared.T}
    torch.save(stored, tmp_path / "pytorch_model.bin")
    target = tmp_path / "out"
    target.mkdir()

    path = convert_apart(tmp_path, target)

    assert path == target / "model.safetensors"
    loaded = load_file(path)
    assert loaded.keys() == stored.keys()
    assert all(torch.equal(loaded[name], stored[name]) for name in stored)
    assert [p.name for p in target.iterdir()] == ["model.safetensors"]


def test_shards_are_gathered(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / "pytorch_model-1.bin")
    torch.save({"b": torch.ones(2)}, tmp_path / "pytorch_model-2.bin")
    weight_map = {"a": "pytorch_model-1.bin", "b": "pytorch_model-2.bin"}
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))

    convert_here(tmp_path, tmp_path)

    assert load_file(tmp_path / "model.safetensors").keys() == {"a", "b"}


def test_a_malicious_pickle_is_refused_and_nothing_of_it_runs(tmp_path: Path) -> None:
    mark = tmp_path / "was-here"
    path = tmp_path / "pytorch_model.bin"
    with path.open("wb") as file:
        pickle.dump({"a": Malicious(mark)}, file)
    # It is a real one: plain unpickling runs it.
    opening = "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))"
    subprocess.run([sys.executable, "-W", "ignore", "-c", opening, str(path)], check=True)
    assert mark.exists()
    mark.unlink()

    with pytest.raises(ModelCorrupt, match="nothing of it ran"):
        convert_apart(tmp_path, tmp_path)

    assert not mark.exists()
    assert not (tmp_path / "model.safetensors").exists()


def test_a_malicious_checkpoint_of_torch_is_refused_too(tmp_path: Path) -> None:
    mark = tmp_path / "was-here"
    torch.save({"a": torch.ones(1), "b": Malicious(mark)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelCorrupt, match="nothing of it ran"):
        convert_here(tmp_path, tmp_path)
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"not a pickle at all", b"PK\x03\x04 cut short"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(ModelCorrupt, match=r"pytorch_model\.bin"):
        convert_here(tmp_path, tmp_path)


def test_a_truncated_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save({"a": torch.ones(10_000)}, path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ModelCorrupt, match=r"pytorch_model\.bin"):
        convert_here(tmp_path, tmp_path)


def test_what_is_not_a_table_of_tensors_is_refused(tmp_path: Path) -> None:
    for content in ([torch.ones(1)], {"a": 3}):
        torch.save(content, tmp_path / "pytorch_model.bin")
        with pytest.raises(ModelCorrupt, match="table of tensors"):
            convert_here(tmp_path, tmp_path)


def test_nothing_to_convert_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="nothing to convert"):
        convert_here(tmp_path, tmp_path)


@pytest.mark.parametrize("index", ["{", '{"weight_map": {"a": "../outside.bin"}}'])
def test_a_damaged_or_wandering_index_is_refused(tmp_path: Path, index: str) -> None:
    (tmp_path / "pytorch_model.bin.index.json").write_text(index)
    with pytest.raises(ModelCorrupt):
        convert_here(tmp_path, tmp_path)
