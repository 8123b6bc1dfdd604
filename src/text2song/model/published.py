"""The sizes in which MusicGen is published, so that what they take can be told before one is fetched.

Sources: for the decoder, `decoder_config_from_checkpoint` in transformers' conversion of the original weights
(`convert_musicgen_transformers.py`); for the text encoder, T5-base (Raffel et al. 2020); for the codec,
`facebook/encodec_32khz`; all as they stand in the models' `config.json` at huggingface.co/facebook. A stereo
model is the mono one of its size with twice the codebooks.
"""

from typing import Final

from text2song.model.configuration import ModelConfiguration
from text2song.model.shapes import CodecShape, DecoderShape, TextEncoderShape

_T5_BASE: Final = TextEncoderShape(
    layers=12,
    width=768,
    heads=12,
    head_width=64,
    ffn_width=3072,
    is_gated=False,
    tokens=32_128,
    buckets=32,
    max_distance=128,
    norm_epsilon=1e-6,
)
_ENCODEC_32_KHZ: Final = CodecShape(
    codebooks=4,
    codebook_size=2048,
    features=128,
    filters=64,
    ratios=(8, 5, 4, 4),
    kernel=7,
    last_kernel=7,
    residual_kernel=3,
    residual_layers=1,
    dilation_growth=2,
    compress=2,
    has_conv_shortcut=False,
    lstm_layers=2,
    is_causal=False,
    pad_mode="reflect",
    trim_right_ratio=1.0,
)


def _musicgen(*, layers: int, width: int, heads: int, channels: int) -> ModelConfiguration:
    return ModelConfiguration(
        text_encoder=_T5_BASE,
        decoder=DecoderShape(
            layers=layers,
            width=width,
            heads=heads,
            ffn_width=4 * width,
            codebooks=4 * channels,
            channels=channels,
            codebook_size=2048,
            positions=2048,
        ),
        codec=_ENCODEC_32_KHZ,
        sample_rate=32_000,
    )


PUBLISHED: Final = {
    "small": _musicgen(layers=24, width=1024, heads=16, channels=1),
    "medium": _musicgen(layers=48, width=1536, heads=24, channels=1),
    "large": _musicgen(layers=48, width=2048, heads=32, channels=1),
    "stereo-small": _musicgen(layers=24, width=1024, heads=16, channels=2),
    "stereo-medium": _musicgen(layers=48, width=1536, heads=24, channels=2),
    "stereo-large": _musicgen(layers=48, width=2048, heads=32, channels=2),
}
"""By what follows the prefix in the model's id."""
PUBLISHED_PREFIX: Final = "facebook/musicgen-"
