"""Every figure is held to the tensors themselves; `tests/proof/test_memory.py` measures a whole process."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.model.holding import drawn, held_bytes
from tests.model.tiny import configured
from text2song.model.configuration import ModelConfiguration, read_configuration
from text2song.model.decoder import Decoder
from text2song.model.dtypes import DTYPES
from text2song.model.encodec import CodecDecoder
from text2song.model.footprint import (
    ORDINARY_TOKENS,
    Footprint,
    codec_bytes,
    decoder_bytes,
    footprint_of,
    rendering_bytes,
    row_bytes,
    text_encoder_bytes,
)
from text2song.model.precision import ORACLE, Precision, dtypes_on, precision_for
from text2song.model.published import PUBLISHED
from text2song.model.text import TextReader

CPU = torch.device("cpu")
PRECISIONS = [ORACLE, *(precision_for(dtype, device=CPU) for dtype in dtypes_on(CPU))]
CONFIGURATIONS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "as it is": ("decoder", {}),
    "stereo": ("decoder", {"num_codebooks": 8, "audio_channels": 2}),
    "deeper and wider": ("decoder", {"num_hidden_layers": 3, "hidden_size": 128, "ffn_dim": 320}),
    "fewer positions": ("decoder", {"max_position_embeddings": 100}),
    "no projection": ("text_encoder", {"d_model": 64}),
    "T5 1.1": ("text_encoder", {"feed_forward_proj": "gated-gelu", "d_ff": 48, "num_layers": 2}),
    "heads wider than the state": ("text_encoder", {"d_kv": 24}),
    "more residual blocks": ("audio_encoder", {"num_residual_layers": 3, "use_conv_shortcut": True}),
    "two LSTMs": ("audio_encoder", {"num_lstm_layers": 2, "num_filters": 8, "compress": 4}),
    "other ratios": ("audio_encoder", {"upsampling_ratios": [5, 3], "kernel_size": 5, "last_kernel_size": 3}),
}


@pytest.fixture(params=CONFIGURATIONS)
def configuration(request: pytest.FixtureRequest, tmp_path: Path) -> ModelConfiguration:
    part, values = CONFIGURATIONS[request.param]
    return configured(tmp_path, part=part, values=values)


@pytest.mark.parametrize("precision", PRECISIONS, ids=lambda p: f"{p.name} {p.products}")
def test_the_decoders_bytes_are_those_of_its_tensors(
    configuration: ModelConfiguration, precision: Precision
) -> None:
    decoder = Decoder(configuration.decoder, read=drawn(), precision=precision)
    assert decoder_bytes(configuration.decoder, dtype=precision.name) == held_bytes(decoder)


def test_the_codecs_bytes_are_those_of_its_tensors(configuration: ModelConfiguration) -> None:
    codec = CodecDecoder(configuration.codec, read=drawn())
    assert codec_bytes(configuration.codec) == held_bytes(codec)


def test_the_text_encoders_bytes_are_those_of_its_tensors(
    configuration: ModelConfiguration, mono_folder: Path
) -> None:
    shape, width = configuration.text_encoder, configuration.decoder.width
    reader = TextReader(mono_folder, shape=shape, width=width, read=drawn())
    assert text_encoder_bytes(shape, width=width) == held_bytes(reader)


@pytest.mark.parametrize("precision", PRECISIONS, ids=lambda p: f"{p.name} {p.products}")
@pytest.mark.parametrize("is_guided", [True, False], ids=["guided", "unguided"])
@pytest.mark.parametrize(("tokens", "steps"), [(2, 1), (5, 33), (40, 1503)])
def test_a_rows_bytes_are_those_of_its_tensors_and_what_the_decoder_says(
    configuration: ModelConfiguration, precision: Precision, tokens: int, steps: int, *, is_guided: bool
) -> None:
    shape = configuration.decoder
    decoder = Decoder(shape, read=drawn(), precision=precision)
    expected = row_bytes(shape, dtype=precision.name, tokens=tokens, steps=steps, is_guided=is_guided)
    track = decoder.open_track(torch.zeros(tokens, shape.width), steps=steps, is_guided=is_guided)
    assert held_bytes(track) == expected
    assert decoder.track_bytes(tokens=tokens, steps=steps, is_guided=is_guided) == expected


def test_a_footprint_is_of_an_ordinary_row(mono_folder: Path) -> None:
    configuration = read_configuration(mono_folder)
    found = footprint_of(configuration, dtype="bfloat16")
    assert found.row_bytes == row_bytes(
        configuration.decoder, dtype="bfloat16", tokens=ORDINARY_TOKENS, steps=1503, is_guided=True
    )
    short = replace(configuration, decoder=replace(configuration.decoder, positions=103))  # sees 2 s at once
    assert footprint_of(short, dtype="bfloat16").row_bytes == row_bytes(
        short.decoder, dtype="bfloat16", tokens=ORDINARY_TOKENS, steps=103, is_guided=True
    )


def test_what_rows_may_take_is_what_weights_and_sound_leave() -> None:
    found = Footprint(10, 20, 5, rendering_bytes=15, row_bytes=7)
    assert found.weights_bytes == 35
    assert [found.left_for_rows(limit) for limit in (0, 49, 50, 51, 60)] == [0, 0, 0, 1, 10]
    assert [found.rows_within(limit) for limit in (0, 56, 57, 63, 64, 120)] == [0, 0, 1, 1, 2, 10]


def test_a_dtype_is_smaller_where_it_says_so() -> None:
    for shape in (configuration.decoder for configuration in PUBLISHED.values()):
        sizes = [decoder_bytes(shape, dtype=dtype) for dtype in DTYPES]
        assert sizes[0] / 2 < sizes[1] < sizes[0] / 2 * 1.01  # norms stay float32
        assert sizes[0] / 4 < sizes[2] < sizes[0] / 3


def test_making_sound_takes_more_of_wider_layers() -> None:
    small = PUBLISHED["small"].codec
    assert 100 * 2**20 < rendering_bytes(small) < 150 * 2**20
    assert rendering_bytes(replace(small, filters=128)) > 2 * rendering_bytes(small)


def test_estimating_imports_no_torch() -> None:
    modules = "footprint budget published free_memory dtypes"
    program = "import sys; " + "; ".join(f"import text2song.model.{m}" for m in modules.split())
    program += "; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
