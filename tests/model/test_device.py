"""Devices by name, and the networks on a GPU: in pretence everywhere, in earnest where there is one."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.model.playing import SPEC, takes
from tests.model.pretence import DEVICE, pretended_gpu
from text2song.errors import ModelUnsupported
from text2song.model import device
from text2song.model.checkpoint import Read
from text2song.model.configuration import ModelConfiguration, read_configuration
from text2song.model.decoder import Decoder
from text2song.model.device import device_title, free_on, usable_device
from text2song.model.musicgen import MusicGen
from text2song.model.precision import ORACLE
from text2song.model.t5 import TextEncoder

Network = Callable[[ModelConfiguration, Read], torch.Tensor]


def stepped(configuration: ModelConfiguration, read: Read) -> torch.Tensor:
    decoder = Decoder(configuration.decoder, read=read, precision=ORACLE)
    text = read("decoder.model.decoder.embed_tokens.0.weight", (2049, configuration.decoder.width))[:5]
    tracks = [decoder.open_track(text, steps=9, is_guided=is_guided) for is_guided in (True, False)]
    column = torch.full((1, configuration.decoder.codebooks), 2048)
    decoder.step([column, column.repeat(3, 1)], tracks=tracks)
    return torch.cat(decoder.step([column, column], tracks=tracks))


def replayed(configuration: ModelConfiguration, read: Read) -> torch.Tensor:
    decoder = Decoder(configuration.decoder, read=read, precision=ORACLE)
    decoder.record_steps(rows=3, steps=9, tokens=5, record=lambda run: run)
    text = read("decoder.model.decoder.embed_tokens.0.weight", (2049, configuration.decoder.width))[:5]
    tracks = [decoder.open_track(text, steps=9, is_guided=is_guided) for is_guided in (True, False)]
    column = torch.full((1, configuration.decoder.codebooks), 2048)
    return torch.cat(decoder.step([column, column], tracks=tracks))


def encoded(configuration: ModelConfiguration, read: Read) -> torch.Tensor:
    return TextEncoder(configuration.text_encoder, read=read).encode(torch.arange(7))


@pytest.mark.parametrize("network", [stepped, replayed, encoded])
def test_a_network_on_a_gpu_mixes_no_memories(mono_folder: Path, network: Network) -> None:
    configuration, tensors = read_configuration(mono_folder), load_file(mono_folder / "model.safetensors")
    real = network(configuration, lambda name, _: tensors[name])
    with pretended_gpu():
        moved = network(configuration, lambda name, _: tensors[name].to(DEVICE))
    assert (moved.device.type, moved.shape, moved.dtype) == ("cuda", real.shape, real.dtype)


def test_the_pretence_refuses_what_a_gpu_would(mono_folder: Path) -> None:
    """A network one of whose weights was left behind."""
    configuration, tensors = read_configuration(mono_folder), load_file(mono_folder / "model.safetensors")

    def nearly_moved(name: str, _: tuple[int, ...]) -> torch.Tensor:
        return tensors[name] if name.endswith("layers.0.fc1.weight") else tensors[name].to(DEVICE)

    with pretended_gpu(), pytest.raises(RuntimeError, match="cuda:0 and cpu"):
        stepped(configuration, nearly_moved)


def test_the_processor_is_usable() -> None:
    device = usable_device("cpu")
    assert (device.type, device_title(device)) == ("cpu", "cpu")


def test_a_gpu_rounds_nothing_to_less_than_the_record_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)  # torch's own choice, and put back
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert usable_device("cuda:1") == torch.device("cuda", 1)
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize("name", ["cuda:4096", "abacus", "cpu:1", "cuda:", "cuda:one"])
def test_a_device_that_is_not_there_is_refused_with_what_can_be_used(name: str) -> None:
    with pytest.raises(ModelUnsupported, match=r"cpu") as caught:
        usable_device(name)
    assert repr(name) in caught.value.message
    assert caught.value.field == "device"


def test_what_is_free_is_told_by_the_system_or_by_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "free_bytes", lambda: 5)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda gpu: (7 + gpu.index, 99))
    assert [free_on(torch.device(name)) for name in ("cpu", "cuda:0", "cuda:1")] == [5, 7, 8]


@pytest.mark.gpu
def test_a_gpu_plays_what_the_processor_plays(mono_folder: Path) -> None:
    """Codes may part where two are as likely but for the last bits; most must be the same."""
    here, there = (MusicGen.load(mono_folder, device=name) for name in ("cpu", "cuda:0"))
    ours, theirs = (takes(model, [SPEC])[0] for model in (here, there))
    assert there.info.device == torch.cuda.get_device_name(0)
    assert (ours.codes[:, :10] == theirs.codes[:, :10]).all()
    assert np.isfinite(theirs.waveform.pcm).all()


def test_nothing_that_a_gpu_needs_imports_the_compiler() -> None:
    """So the model layer and its benchmark run where llvmlite is not installed."""
    program = (
        "import sys; sys.modules['llvmlite'] = None\nimport text2song.model.musicgen, benchmarks.engine\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, cwd=Path(__file__).parents[2])
