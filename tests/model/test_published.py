"""The published sizes, against transformers' networks of those configurations, of which no weight is made."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import EncodecConfig, EncodecModel, MusicgenDecoderConfig, T5Config, T5EncoderModel
from transformers.models.musicgen.modeling_musicgen import MusicgenForCausalLM

from benchmarks import musicgens
from text2song.model.footprint import codec_bytes, decoder_bytes, text_encoder_bytes
from text2song.model.published import PUBLISHED


def size_of(make: Callable[[], Any]) -> int:
    """Bytes of a network in float32, of which no tensor is made."""
    with torch.device("meta"):
        network = make()
    return sum(tensor.nbytes for tensor in network.state_dict().values())


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_decoder_is_as_large_as_transformers_with_its_positions(name: str) -> None:
    shape = PUBLISHED[name].decoder
    config = MusicgenDecoderConfig(
        num_hidden_layers=shape.layers,
        hidden_size=shape.width,
        num_attention_heads=shape.heads,
        ffn_dim=shape.ffn_width,
        num_codebooks=shape.codebooks,
        audio_channels=shape.channels,
    )
    positions = 4 * shape.positions * shape.width  # transformers computes them when they are needed
    theirs = size_of(lambda: MusicgenForCausalLM(config))
    assert decoder_bytes(shape, dtype="float32") - theirs in {0, positions}


@pytest.mark.parametrize("name", musicgens.SIZES)
def test_the_benchmarks_measure_these_sizes(name: str) -> None:
    assert musicgens.read_published(name) == PUBLISHED[name]


def test_the_text_encoder_is_t5_base() -> None:
    shape = PUBLISHED["small"].text_encoder
    config = T5Config(
        num_layers=shape.layers,
        d_model=shape.width,
        num_heads=shape.heads,
        d_kv=shape.head_width,
        d_ff=shape.ffn_width,
        vocab_size=shape.tokens,
    )
    with torch.device("meta"):
        parameters = sum(p.numel() for p in T5EncoderModel(config).parameters())
    assert text_encoder_bytes(shape, width=shape.width) == 4 * parameters
    assert parameters == 109_628_544  # as T5-base's encoder is known to have


def test_the_codec_is_encodecs_decoder() -> None:
    shape = PUBLISHED["small"].codec
    config = EncodecConfig(
        sampling_rate=PUBLISHED["small"].sample_rate,
        num_filters=shape.filters,
        upsampling_ratios=list(shape.ratios),
        codebook_size=shape.codebook_size,
        num_lstm_layers=shape.lstm_layers,
        use_causal_conv=shape.is_causal,
        use_conv_shortcut=shape.has_conv_shortcut,
        target_bandwidths=[2.2],
    )
    network = EncodecModel(config)
    for module in network.decoder.modules():
        if hasattr(module, "parametrizations"):
            torch.nn.utils.parametrize.remove_parametrizations(module, "weight")
    decoder = sum(parameter.nbytes for parameter in network.decoder.parameters())
    quantizer: Any = network.quantizer
    codebooks = sum(layer.codebook.embed.nbytes for layer in quantizer.layers[: shape.codebooks])
    assert codec_bytes(shape) == decoder + codebooks
    assert PUBLISHED["small"].frame_rate == 50.0


def test_stereo_is_the_same_with_twice_the_codebooks() -> None:
    for size in ("small", "medium", "large"):
        mono, stereo = PUBLISHED[size], PUBLISHED[f"stereo-{size}"]
        assert stereo.decoder.codebooks == 2 * mono.decoder.codebooks
        assert stereo.codec == mono.codec  # which plays each channel by itself
