"""Folders that load, and folders that are refused with the reason."""

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.model.playing import SPEC, takes, with_weights
from text2song.errors import ModelCorrupt, ModelMissing, ModelUnsupported, StudioError
from text2song.model.musicgen import MusicGen
from text2song.model.text import EncodedSentence
from text2song.names import NOISE_MODEL


def test_info_says_what_the_model_is(noise_folder: Path) -> None:
    info = MusicGen.load(noise_folder).info
    manifest = json.loads((noise_folder / "text2song.json").read_text())

    assert info.id == NOISE_MODEL
    assert not info.is_trained
    assert info.license == "Apache-2.0"
    assert info.fingerprint == manifest["fingerprint"]
    assert (info.sample_rate, info.frame_rate, info.codebook_size) == (32_000, 50.0, 2048)
    assert info.codebooks == 4 * info.channels
    assert info.max_duration_seconds == 300.0
    assert info.dtype == "float32"
    assert info.module_shapes["decoder.model.decoder.layers.1.fc1"] == (128, 64)


def test_a_plain_checkout_without_our_manifest_is_a_model_too(mono_folder: Path, tmp_path: Path) -> None:
    def train(tensors: dict[str, torch.Tensor]) -> None:
        tensors["enc_to_dec_proj.bias"] += 1

    info = MusicGen.load(with_weights(mono_folder, tmp_path / "mine", train)).info
    assert (info.id, info.revision, info.license, info.is_trained) == ("mine", "local", "unknown", True)


def test_noise_without_its_manifest_is_still_noise(noise_folder: Path, tmp_path: Path) -> None:
    copytree(noise_folder, tmp_path / "mine")
    (tmp_path / "mine" / "text2song.json").unlink()
    info = MusicGen.load(tmp_path / "mine").info
    assert (info.id, info.revision, info.is_trained) == ("mine", "local", False)


def edit_config(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


def cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def lose_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["decoder.model.decoder.layers.1.fc2.weight"]
    save_file(tensors, folder / "model.safetensors")


def flip_bit(folder: Path) -> None:
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)


def pickle_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def shards_with_one_missing(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    weight_map = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def shards_with_one_cut(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    weight_map: dict[str, str] = {}
    for number, held in enumerate((names[::2], names[1::2]), start=1):
        file = f"model-0000{number}-of-00002.safetensors"
        save_file({name: tensors[name] for name in held}, folder / file)
        weight_map |= dict.fromkeys(held, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    last = folder / "model-00002-of-00002.safetensors"
    last.write_bytes(last.read_bytes()[:-1000])


LARGER_CODEBOOKS = {"decoder": {"vocab_size": 4096}, "audio_encoder": {"codebook_size": 4096}}
DAMAGE: dict[str, tuple[Callable[[Path], object], type[StudioError], str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), ModelMissing, "no config.json"),
    "config not JSON": (lambda f: (f / "config.json").write_text("{"), ModelCorrupt, "not valid JSON"),
    "config a list": (lambda f: (f / "config.json").write_text("[]"), ModelCorrupt, "not a JSON object"),
    "melody": (
        lambda f: edit_config(f, lambda c: c.update(model_type="musicgen_melody")),
        ModelUnsupported,
        "it is not supported yet. The studio plays facebook/musicgen-small, -medium and -large",
    ),
    "another architecture": (
        lambda f: edit_config(f, lambda c: c.update(model_type="bark")),
        ModelUnsupported,
        "holds a model of type 'bark'; the studio plays MusicGen",
    ),
    "no architecture": (
        lambda f: edit_config(f, lambda c: c.pop("model_type")),
        ModelUnsupported,
        "holds a model of type None",
    ),
    "more codebooks than the weights hold": (
        lambda f: edit_config(f, lambda c: c["decoder"].update(num_codebooks=8, audio_channels=2)),
        ModelCorrupt,
        "lacks the tensor decoder.model.decoder.embed_tokens.4.weight, which config.json demands",
    ),
    "more codes than the weights hold": (
        lambda f: edit_config(f, lambda c: [c[part].update(size) for part, size in LARGER_CODEBOOKS.items()]),
        ModelCorrupt,
        "embed_tokens.0.weight has the shape (2049, 64), but config.json demands (4097, 64)",
    ),
    "more layers than the weights hold": (
        lambda f: edit_config(f, lambda c: c["decoder"].update(num_hidden_layers=3)),
        ModelCorrupt,
        "lacks the tensor decoder.model.decoder.layers.2.",
    ),
    "other codec": (
        lambda f: edit_config(f, lambda c: c["audio_encoder"].update(model_type="dac")),
        ModelUnsupported,
        "'dac'",
    ),
    "normalising codec": (
        lambda f: edit_config(f, lambda c: c["audio_encoder"].update(normalize=True)),
        ModelUnsupported,
        "codec",
    ),
    "other activation": (
        lambda f: edit_config(f, lambda c: c["decoder"].update(activation_function="relu")),
        ModelUnsupported,
        "gelu",
    ),
    "no decoder part": (lambda f: edit_config(f, lambda c: c.pop("decoder")), ModelCorrupt, "'decoder'"),
    "absurd number": (
        lambda f: edit_config(f, lambda c: c["decoder"].update(hidden_size=-1)),
        ModelCorrupt,
        "hidden_size is -1",
    ),
    "numbers at odds": (
        lambda f: edit_config(f, lambda c: c["decoder"].update(num_attention_heads=7)),
        ModelCorrupt,
        "do not fit together",
    ),
    "other width": (
        lambda f: edit_config(f, lambda c: c["decoder"].update(ffn_dim=256)),
        ModelCorrupt,
        "model.safetensors: decoder.model.decoder.layers.0.fc1.weight has the shape (128, 64), but config",
    ),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), ModelMissing, "no model.safetensors"),
    "pickle only": (pickle_only, ModelUnsupported, "text2song model add"),
    "truncated": (cut_weights, ModelCorrupt, "model.safetensors is damaged or incomplete"),
    "a truncated shard": (shards_with_one_cut, ModelCorrupt, "model-00002-of-00002.safetensors is damaged"),
    "a header that is cut": (
        lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:100]),
        ModelCorrupt,
        "model.safetensors is damaged or incomplete",
    ),
    "empty weights": (
        lambda f: (f / "model.safetensors").write_bytes(b""),
        ModelCorrupt,
        "damaged or incomplete",
    ),
    "missing tensor": (
        lose_tensor,
        ModelCorrupt,
        "lacks the tensor decoder.model.decoder.layers.1.fc2.weight",
    ),
    "flipped bit": (flip_bit, ModelCorrupt, "not what they were"),
    "missing shard": (shards_with_one_missing, ModelCorrupt, "model-00002-of-00002.safetensors"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), ModelCorrupt, "no tokenizer.json"),
    "bad tokenizer": (
        lambda f: (f / "tokenizer.json").write_text("{}"),
        ModelCorrupt,
        "tokenizer.json is damaged",
    ),
    "bad manifest": (
        lambda f: (f / "text2song.json").write_text('{"id": 3}'),
        ModelCorrupt,
        "text2song.json",
    ),
}
KEEPS_MANIFEST = {"flipped bit", "bad manifest"}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_folder_is_refused_with_the_reason(mono_folder: Path, tmp_path: Path, damage: str) -> None:
    break_it, kind, words = DAMAGE[damage]
    folder = tmp_path / "model"
    copytree(mono_folder, folder)
    if damage not in KEEPS_MANIFEST:  # whose fingerprint would notice everything else first
        (folder / "text2song.json").unlink()
    break_it(folder)

    with pytest.raises(kind) as caught:
        MusicGen.load(folder)

    assert type(caught.value) is kind
    assert words in caught.value.message


def test_a_folder_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="text2song model add"):
        MusicGen.load(tmp_path / "nowhere")


def test_what_was_read_outlives_the_file_and_leaves_nothing_of_it_in_the_process(
    mono_folder: Path, tmp_path: Path
) -> None:
    copytree(mono_folder, tmp_path / "model")
    model = MusicGen.load(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"")  # whoever still looked at its pages would die
    takes(model, [SPEC])
    if sys.platform == "linux":
        assert str(tmp_path) not in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize("option", [{"device": "abacus"}, {"dtype": "int3"}])
def test_an_unknown_device_or_dtype_is_refused(mono_folder: Path, option: dict[str, Any]) -> None:
    with pytest.raises(ModelUnsupported, match=r"abacus|int3"):
        MusicGen.load(mono_folder, **option)


def test_shards_and_older_tensor_names_load_to_the_same_model(
    mono_folder: Path, noise: MusicGen, tmp_path: Path
) -> None:
    """As published checkpoints are: sharded, weight norm's old names, T5's table under its other one."""
    folder = with_weights(mono_folder, tmp_path / "sharded", dict)
    tensors = {
        name.replace("parametrizations.weight.original0", "weight_g")
        .replace("parametrizations.weight.original1", "weight_v")
        .replace("text_encoder.shared.weight", "text_encoder.encoder.embed_tokens.weight"): tensor
        for name, tensor in load_file(folder / "model.safetensors").items()
    }
    tensors["decoder.model.decoder.embed_positions.weights"] = torch.zeros(1)  # stored once, computed now
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    halves = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, held in halves.items():
        save_file({name: tensors[name] for name in held}, folder / file)
    weight_map = {name: file for file, held in halves.items() for name in held}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))

    (take,) = takes(MusicGen.load(folder), [SPEC])

    (expected,) = takes(noise, [SPEC])
    assert np.array_equal(take.codes, expected.codes)
    assert np.array_equal(take.waveform.pcm, expected.waveform.pcm)


def test_loading_and_playing_say_nothing(
    mono_folder: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        takes(MusicGen.load(mono_folder), [replace(SPEC, sentence="word " * 400)])
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_a_sentence_is_encoded_once(noise: MusicGen, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []
    encode = noise._parts.reader._encode

    def count(sentence: str) -> EncodedSentence:
        encoded.append(sentence)
        return encode(sentence)

    monkeypatch.setattr(noise._parts.reader, "_encode", count)
    takes(noise, [replace(SPEC, sentence="only once", seed=s) for s in range(3)])
    assert encoded == ["only once"]


def test_what_the_server_needs_of_the_model_layer_imports_no_torch() -> None:
    modules = "protocol library weights manifest configuration verdict hub download conversion"
    program = "import sys; " + "; ".join(f"import text2song.model.{m}" for m in modules.split())
    program += "; sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'fastapi', 'pydantic')))"
    subprocess.run([sys.executable, "-c", program], check=True)
