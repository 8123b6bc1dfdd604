"""What config.json may say, what its silence means, and what is refused; more in test_checkpoint.py."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import EncodecConfig, MusicgenDecoderConfig, T5Config

from tests.model.tiny import configured
from text2song.errors import ModelCorrupt, ModelUnsupported, StudioError
from text2song.model.configuration import read_configuration
from text2song.model.delay import offsets_for
from text2song.model.shapes import CodecShape, DecoderShape, TextEncoderShape


def silent(folder: Path, *, codebooks: int = 4) -> Path:
    """A folder whose configuration leaves out all that it may."""
    config = {
        "model_type": "musicgen",
        "text_encoder": {},
        # The codec's codebooks hold 1,024 codes where nothing else is said, so the decoder may use no more.
        "decoder": {"vocab_size": 1024, "num_codebooks": codebooks},
        "audio_encoder": {},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_absent_values_mean_what_they_mean_in_transformers(tmp_path: Path) -> None:
    found = read_configuration(silent(tmp_path))

    decoder = MusicgenDecoderConfig()
    assert found.decoder == DecoderShape(
        layers=decoder.num_hidden_layers,
        width=decoder.hidden_size,
        heads=decoder.num_attention_heads,
        ffn_width=decoder.ffn_dim,
        codebooks=decoder.num_codebooks,
        channels=decoder.audio_channels,
        codebook_size=1024,
        positions=decoder.max_position_embeddings,
    )
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "musicgen"} | PARTS))
    assert read_configuration(tmp_path).decoder.codebook_size == decoder.vocab_size

    text = T5Config()
    assert found.text_encoder == TextEncoderShape(
        layers=text.num_layers,
        width=text.d_model,
        heads=text.num_heads,
        head_width=text.d_kv,
        ffn_width=text.d_ff,
        is_gated=text.is_gated_act,
        tokens=text.vocab_size,
        buckets=text.relative_attention_num_buckets,
        max_distance=text.relative_attention_max_distance,
        norm_epsilon=text.layer_norm_epsilon,
    )


PARTS: dict[str, Any] = {"text_encoder": {}, "decoder": {}, "audio_encoder": {"codebook_size": 2048}}


def test_absent_values_of_the_codec_mean_what_they_mean_in_transformers(tmp_path: Path) -> None:
    found = read_configuration(silent(tmp_path))
    codec = EncodecConfig()
    assert found.sample_rate == codec.sampling_rate
    assert found.samples_per_frame == codec.hop_length
    assert found.codec == CodecShape(
        codebooks=4,
        codebook_size=codec.codebook_size,
        features=codec.hidden_size,
        filters=codec.num_filters,
        ratios=tuple(codec.upsampling_ratios),
        kernel=codec.kernel_size,
        last_kernel=codec.last_kernel_size,
        residual_kernel=codec.residual_kernel_size,
        residual_layers=codec.num_residual_layers,
        dilation_growth=codec.dilation_growth_rate,
        compress=codec.compress,
        has_conv_shortcut=codec.use_conv_shortcut,
        lstm_layers=codec.num_lstm_layers,
        is_causal=codec.use_causal_conv,
        pad_mode="reflect",
        trim_right_ratio=codec.trim_right_ratio,
    )
    assert codec.pad_mode == "reflect"
    assert codec.norm_type == "weight_norm"


REFUSED: list[tuple[str, dict[str, Any], type[StudioError], str]] = [
    (
        "text_encoder",
        {"feed_forward_proj": "gated-silu"},
        ModelUnsupported,
        "feed_forward_proj is 'gated-silu'",
    ),
    ("text_encoder", {"feed_forward_proj": ["relu"]}, ModelUnsupported, "plays only relu and gated-gelu"),
    ("text_encoder", {"relative_attention_num_buckets": 6}, ModelCorrupt, "do not fit together"),
    ("text_encoder", {"relative_attention_max_distance": 8}, ModelCorrupt, "do not fit together"),
    ("text_encoder", {"layer_norm_epsilon": "small"}, ModelCorrupt, "not a number from 0 to 1"),
    ("text_encoder", {"d_model": 1.5}, ModelCorrupt, "d_model is 1.5"),
    ("decoder", {"activation_function": "relu"}, ModelUnsupported, "activation_function is 'relu'"),
    ("decoder", {"vocab_size": 4096}, ModelCorrupt, "do not fit together"),  # codes that the codec has not
    ("decoder", {"max_position_embeddings": 3}, ModelCorrupt, "do not fit together"),  # no room for a frame
    ("audio_encoder", {"norm_type": "time_group_norm"}, ModelUnsupported, "norm_type is 'time_group_norm'"),
    ("audio_encoder", {"pad_mode": "circular"}, ModelUnsupported, "plays only reflect and constant"),
    ("audio_encoder", {"chunk_length_s": 1.0}, ModelUnsupported, "cuts its sound"),
    ("audio_encoder", {"audio_channels": 2}, ModelUnsupported, "more than one channel"),
    ("audio_encoder", {"codebook_dim": 8}, ModelCorrupt, "do not fit together"),
    ("audio_encoder", {"trim_right_ratio": 0.5}, ModelCorrupt, "do not fit together"),  # it is not causal
    ("audio_encoder", {"compress": 8}, ModelCorrupt, "do not fit together"),  # no channel would be left
    ("audio_encoder", {"use_conv_shortcut": 1}, ModelCorrupt, "not true or false"),
    ("audio_encoder", {"upsampling_ratios": []}, ModelCorrupt, "upsampling_ratios is []"),
    ("audio_encoder", {"upsampling_ratios": [8, "4"]}, ModelCorrupt, "positive whole numbers"),
]


@pytest.mark.parametrize(("part", "values", "kind", "words"), REFUSED)
def test_what_the_studio_cannot_play_is_refused_before_any_weight_is_read(
    tmp_path: Path, part: str, values: dict[str, Any], kind: type[StudioError], words: str
) -> None:
    with pytest.raises(kind) as caught:
        configured(tmp_path, part=part, values=values)
    assert type(caught.value) is kind
    assert words in caught.value.message


@pytest.mark.parametrize("channels", [1, 2])
def test_each_channel_has_its_share_of_the_codebooks(tmp_path: Path, channels: int) -> None:
    values = {"audio_channels": channels, "num_codebooks": 4 * channels}
    assert configured(tmp_path, part="decoder", values=values).codec.codebooks == 4


@pytest.mark.parametrize(
    ("values", "window_frames", "kept_frames"),
    [
        ({}, 1500, 600),
        ({"audio_channels": 2, "num_codebooks": 8}, 1500, 600),
        ({"max_position_embeddings": 1503}, 1500, 600),
        ({"max_position_embeddings": 1003}, 1000, 400),
        ({"max_position_embeddings": 4}, 1, 0),
    ],
)
def test_a_window_is_of_the_trained_length_or_as_the_position_table_allows(
    tmp_path: Path, values: dict[str, Any], window_frames: int, kept_frames: int
) -> None:
    found = configured(tmp_path, part="decoder", values=values)
    assert (found.window_frames, found.kept_frames) == (window_frames, kept_frames)
    assert found.max_duration_seconds == 300.0  # longer takes are drawn window by window
    assert found.decoder.last_offset == max(
        offsets_for(found.decoder.codebooks, channels=found.decoder.channels)
    )
