"""The noise model on disk, loaded by us and by transformers: the oracle."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import MusicgenForConditionalGeneration
from transformers.utils import logging as transformers_logging

from text2song.model.musicgen import MusicGen
from text2song.model.noise import build_noise_model


@pytest.fixture(scope="session", params=[1, 2], ids=["mono", "stereo"])
def noise_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    channels: int = request.param
    return build_noise_model(tmp_path_factory.mktemp("models") / f"noise-{channels}", audio_channels=channels)


@pytest.fixture(scope="session")
def mono_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_noise_model(tmp_path_factory.mktemp("models") / "noise")


@pytest.fixture(scope="session")
def noise(mono_folder: Path) -> MusicGen:
    return MusicGen.load(mono_folder, capacity=16)


@pytest.fixture(scope="session")
def oracle(noise_folder: Path) -> MusicgenForConditionalGeneration:
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call] # transformers leaves it untyped
    model = MusicgenForConditionalGeneration.from_pretrained(noise_folder)
    assert isinstance(model, MusicgenForConditionalGeneration)
    model.train(mode=False)
    return model


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Plain products and batched attention are cut by thread count, and so are their last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
