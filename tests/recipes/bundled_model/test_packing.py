from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import MusicgenForConditionalGeneration

from recipes.bundled_model import codec, dictionary, language_model, packing, reading, words
from recipes.bundled_model.dictionary import CODES, K
from text2song.model.manifest import Manifest
from text2song.names import BUNDLED_MODEL


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    reader = reading.tokenizer()
    model = language_model.untaught(reading.untaught_encoder(reader), codec.configuration())
    written = codec.build(dictionary.build(), np.ones((K, CODES)))
    return packing.pack(model, written, reader, tmp_path_factory.mktemp("packed") / "model")


def test_transformers_finds_every_weight_and_no_other(folder: Path) -> None:
    loaded: Any = MusicgenForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    told = loaded[1]
    assert not any(told.values()), told


def test_what_sounds_is_in_full_precision_and_all_of_it_fits(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    for name, tensor in weights.items():
        is_dead = not tensor.any()
        assert tensor.dtype == (
            torch.float32 if name.startswith("audio_encoder.") and not is_dead else torch.float16
        )
    assert (folder / "model.safetensors").stat().st_size <= 40_000_000


def test_numbers_beyond_the_tempi_are_read_as_the_nearest(folder: Path) -> None:
    table = load_file(folder / "model.safetensors")["text_encoder.shared.weight"]
    tokens = reading.tokenizer().get_vocab()
    low, high = words.TEMPO_RANGE_BPM
    assert torch.equal(table[tokens["20"]], table[tokens[str(low)]])
    assert torch.equal(table[tokens["300"]], table[tokens[str(high)]])
    assert not torch.equal(table[tokens["119"]], table[tokens["120"]])


def test_it_says_what_it_is_and_what_it_understands(folder: Path) -> None:
    manifest = Manifest.read(folder)
    assert (manifest.id, manifest.license, manifest.is_trained) == (BUNDLED_MODEL, "Apache-2.0", True)
    vocabulary = manifest.vocabulary
    assert vocabulary is not None
    assert len(vocabulary.styles) == len(words.STYLES)
    assert {"piano", "strings", "synth bass", "drums"} <= set(vocabulary.instruments)
    assert vocabulary.tempo_range_bpm == words.TEMPO_RANGE_BPM
