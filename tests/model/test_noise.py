import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from shutil import copytree
from threading import Barrier, Event
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoProcessor, MusicgenForConditionalGeneration
from transformers.utils import logging as transformers_logging

from text2song.errors import ModelMissing, StorageFull
from text2song.model import noise as noise_module
from text2song.model.incoming import in_turn, incoming_for
from text2song.model.manifest import UNTRAINED, Manifest
from text2song.model.musicgen import MusicGen
from text2song.model.noise import build_noise_model
from text2song.model.protocol import GeneratedTake, play
from text2song.model.weights import fingerprint
from text2song.music.spec import GenerationSpec
from text2song.names import NOISE_MODEL

REVISION = "recipe-1-seed-0-channels-1"


def test_the_same_seed_is_the_same_bytes_on_every_machine(noise_folder: Path) -> None:
    size_bytes = Manifest.read(noise_folder).size_bytes
    assert size_bytes is not None
    assert fingerprint(noise_folder) == UNTRAINED[size_bytes]


def test_another_seed_is_another_model(mono_folder: Path, tmp_path: Path) -> None:
    other = build_noise_model(tmp_path / "noise", seed=1)
    assert fingerprint(other) != fingerprint(mono_folder)


def test_the_bytes_do_not_depend_on_torchs_random_state(tmp_path: Path) -> None:
    torch.manual_seed(3)
    build_noise_model(tmp_path / "one")
    torch.manual_seed(4)
    build_noise_model(tmp_path / "two")
    assert fingerprint(tmp_path / "one") == fingerprint(tmp_path / "two")


def test_transformers_loads_it_unchanged_and_completely(noise_folder: Path) -> None:
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call] # transformers leaves it untyped
    load: Any = MusicgenForConditionalGeneration.from_pretrained  # its types leave the report out
    _, report = load(noise_folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert not report["mismatched_keys"]


@pytest.mark.parametrize("text", ["lo-fi, 84 bpm", "späte Nächte — 夜 🎷", " two  spaces ", "</s> <pad>"])
def test_every_text_has_tokens_and_transformers_reads_the_same(
    mono_folder: Path, noise: MusicGen, text: str
) -> None:
    ours = noise._parts.reader.encode(text).token_ids
    load: Any = AutoProcessor.from_pretrained  # untyped
    theirs = load(mono_folder)(text=[text], return_tensors="pt").input_ids[0]
    assert list(ours) == theirs.tolist()
    assert 2 not in ours  # nothing is unknown


def test_building_and_playing_it_imports_no_transformers(tmp_path: Path) -> None:
    """It took most of a start's time: seconds of every server, worker, command and test process."""
    program = """
import pkgutil, sys
from importlib import import_module
from pathlib import Path
import text2song.model
for module in pkgutil.iter_modules(text2song.model.__path__, "text2song.model."):
    import_module(module.name)
from text2song.model.musicgen import MusicGen
from text2song.model.noise import build_noise_model
from text2song.model.protocol import play
from text2song.music.spec import GenerationSpec
model = MusicGen.load(build_noise_model(Path(sys.argv[1])))
(result,) = play(model, [GenerationSpec("anything", seed=1, duration_seconds=0.5)])
assert result.outcome.waveform.pcm.any()
print(*sorted({"transformers", "scipy", "torch._dynamo"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "noise")], capture_output=True, text=True, check=False
    )
    assert (done.stdout.split(), done.stderr) == ([], "")


@pytest.mark.parametrize("seed", [0, 1])
def test_it_is_audible_and_far_from_clipping(tmp_path: Path, seed: int) -> None:
    model = MusicGen.load(build_noise_model(tmp_path / "noise", seed=seed))
    specs = [GenerationSpec("anything at all", seed=s, duration_seconds=1.0) for s in range(4)]
    for result in play(model, specs):
        assert isinstance(result.outcome, GeneratedTake)
        pcm = result.outcome.waveform.pcm
        assert -30 < 20 * np.log10(np.sqrt(np.mean(pcm**2))) < -10
        assert np.abs(pcm).max() < 0.9


def test_building_again_changes_nothing(mono_folder: Path) -> None:
    before = {p.name: p.stat().st_mtime_ns for p in mono_folder.iterdir()}
    build_noise_model(mono_folder)
    assert {p.name: p.stat().st_mtime_ns for p in mono_folder.iterdir()} == before


def test_two_may_build_it_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "noise"
    start = Barrier(2)

    def build() -> Path:
        start.wait()
        return build_noise_model(folder)

    with ThreadPoolExecutor() as pool:
        builders = [pool.submit(build) for _ in range(2)]
    assert [builder.result() for builder in builders] == [folder, folder]
    assert fingerprint(folder) in UNTRAINED.values()
    assert [p.name for p in folder.parent.iterdir()] == ["noise"]


def test_a_builder_that_comes_second_keeps_what_the_first_one_put_there(
    mono_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "noise"
    has_looked = Event()

    def in_turn_after_looking(incoming: Path) -> AbstractContextManager[None]:
        has_looked.set()
        return in_turn(incoming)

    monkeypatch.setattr(noise_module, "in_turn", in_turn_after_looking)
    with ThreadPoolExecutor() as pool:
        with in_turn(incoming_for(folder, revision=REVISION)):
            second = pool.submit(build_noise_model, folder)
            assert has_looked.wait(60)
            copytree(mono_folder, folder)
            (folder / "first").touch()
        assert second.result(60) == folder
    assert (folder / "first").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["noise"]


def test_a_build_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(noise_module, "save_file", fail)
    with pytest.raises(StorageFull, match="nothing half made"):
        build_noise_model(tmp_path / "noise")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_build_left_is_swept_by_the_next(tmp_path: Path) -> None:
    program = """
import os, signal, sys
from pathlib import Path
from text2song.model import noise
noise.save_file = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
noise.build_noise_model(Path(sys.argv[1]), seed=int(sys.argv[2]))
"""
    folder = tmp_path / "noise"
    for seed in ("0", "1"):
        command = [sys.executable, "-c", program, str(folder), seed]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not folder.exists()
    assert any((tmp_path / ".incoming").rglob("tokenizer.json"))
    (tmp_path / ".incoming" / "noise@recipe-0-see").mkdir()  # an older version's

    build_noise_model(folder)

    assert [p.name for p in tmp_path.iterdir()] == ["noise"]


DAMAGE: dict[str, dict[str, bytes | None]] = {
    "no manifest": {"text2song.json": None},
    "a broken manifest": {"text2song.json": b"{"},
    "no manifest and other weights": {"text2song.json": None, "model.safetensors": b"?"},
    "no configuration": {"config.json": None},
    "no weights": {"model.safetensors": None},
    "cut weights": {"model.safetensors": b"{}"},
    "no tokenizer": {"tokenizer.json": None},
    "a broken tokenizer": {"tokenizer.json": b"\xff"},
    "the configuration alone": {"text2song.json": None, "model.safetensors": None, "tokenizer.json": None},
}
"""What becomes of which file; None where it is lost."""
NAMES = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "preprocessor_config.json",
    "text2song.json",
    "tokenizer.json",
    "tokenizer_config.json",
)
DAMAGE |= {
    "every file emptied": dict.fromkeys(NAMES, b""),
    "every file zeroed": dict.fromkeys(NAMES, bytes(100)),
    "nothing left": dict.fromkeys(NAMES),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_whatever_is_damaged_is_built_again(mono_folder: Path, tmp_path: Path, damage: str) -> None:
    folder = Path(copytree(mono_folder, tmp_path / "untrained-noise"))
    for name, content in DAMAGE[damage].items():
        (folder / name).unlink()
        if content is not None:
            (folder / name).write_bytes(content)
    build_noise_model(folder)
    assert Manifest.read(folder) == Manifest.read(mono_folder)
    assert fingerprint(folder) == fingerprint(mono_folder)
    assert MusicGen.load(folder).info.id == NOISE_MODEL
    assert [p.name for p in tmp_path.iterdir()] == ["untrained-noise"]


def test_an_older_recipe_is_replaced_and_a_strangers_folder_is_not(tmp_path: Path) -> None:
    folder = build_noise_model(tmp_path / "noise")
    Manifest(id=NOISE_MODEL, revision="recipe-0", is_trained=False).write(folder)
    build_noise_model(folder)
    assert Manifest.read(folder).revision == REVISION
    assert [p.name for p in tmp_path.iterdir()] == ["noise"]

    stranger = tmp_path / "mine"
    stranger.mkdir()
    (stranger / "precious").touch()
    (stranger / "text2song.json").write_text("{")  # one that cannot be read makes it nobody's
    with pytest.raises(ModelMissing, match="in the way"):
        build_noise_model(stranger)
    assert sorted(p.name for p in stranger.iterdir()) == ["precious", "text2song.json"]


def test_another_models_files_are_not_taken_for_damaged_ones(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "musicgen"}')
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ModelMissing, match="in the way"):
        build_noise_model(tmp_path)
    assert (tmp_path / "model.safetensors").exists()


def test_what_a_person_laid_beside_a_damaged_model_is_kept(
    mono_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = Path(copytree(mono_folder, tmp_path / "untrained-noise"))
    for text in ("one", "two"):
        (folder / "song.txt").write_text(text)
        (folder / "tokenizer.json").write_bytes(b"")
        build_noise_model(folder)
    assert not (folder / "song.txt").exists()
    assert (tmp_path / "untrained-noise.kept-1" / "song.txt").read_text() == "one"
    assert (tmp_path / "untrained-noise.kept-2" / "song.txt").read_text() == "two"
    assert "song.txt is not its own" in caplog.text
    assert "kept-2" in caplog.text
