"""What a model folder's `config.json` says, checked before any weight is read. Needs no torch.

Only MusicGen as transformers writes it is understood: a T5 text encoder, a MusicGen decoder, an
EnCodec codec. Defaults are those of transformers' `T5Config`, `MusicgenDecoderConfig` and
`EncodecConfig`, since files leave some values out.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from text2song.errors import ModelCorrupt, ModelMissing, ModelUnsupported
from text2song.model.protocol import frames_in
from text2song.model.shapes import CodecShape, DecoderShape, PadMode, TextEncoderShape
from text2song.music.attributes import DURATION_RANGE_SECONDS

CONFIG_NAME: Final = "config.json"
_Word = TypeVar("_Word", bound=str)
_CHOOSE_ANOTHER: Final = "Choose another model with `text2song model add`."
_IS_GATED: Final = {"relu": False, "gated-gelu": True}
"""By the name of T5's feed-forward layer."""
_PAD_MODES: Final[tuple[PadMode, ...]] = ("reflect", "constant")
TRAINED_DURATION_SECONDS: Final = 30.0
"""MusicGen was trained on clips of at most 30 s and knows nothing of longer ones."""
KEPT_DURATION_SECONDS: Final = 12.0
"""Of a longer take, what each next window begins with: audiocraft's default, an `extend_stride` of 18 s."""


@dataclass(frozen=True, slots=True)
class ModelConfiguration:
    """A checked `config.json`."""

    text_encoder: TextEncoderShape
    decoder: DecoderShape
    codec: CodecShape
    sample_rate: int
    """Hz."""

    @property
    def samples_per_frame(self) -> int:
        """Samples of each channel that one frame of codes becomes."""
        return math.prod(self.codec.ratios)

    @property
    def frame_rate(self) -> float:
        """Codec frames a second."""
        return self.sample_rate / self.samples_per_frame

    @property
    def max_duration_seconds(self) -> float:
        """Longer than one window, a take is drawn window by window: as long as anyone may ask."""
        return DURATION_RANGE_SECONDS[1]

    @property
    def window_frames(self) -> int:
        """Frames that the model may see at once: of the trained length, or as the position table allows."""
        return min(frames_in(TRAINED_DURATION_SECONDS, frame_rate=self.frame_rate), self._position_frames)

    @property
    def kept_frames(self) -> int:
        """Frames of a window that the next one begins with, of a take that is longer than one window.

        12 of 30 s; the same share of a window that the position table makes shorter.
        """
        return int(self.window_frames * KEPT_DURATION_SECONDS / TRAINED_DURATION_SECONDS)

    @property
    def _position_frames(self) -> int:
        """Frames whose steps, with those by which the last codebook is late, the position table holds."""
        return self.decoder.positions - self.decoder.last_offset


def read_configuration(folder: Path) -> ModelConfiguration:
    """The configuration of a model folder.

    Raises:
        ModelMissing: there is no such folder, or it holds no config.json.
        ModelCorrupt: config.json is not JSON, or a value in it cannot be.
        ModelUnsupported: another architecture, or a variant that the studio does not play.
    """
    return checked(_read_json(folder), folder=folder)


def checked(raw: Mapping[str, Any], *, folder: Path) -> ModelConfiguration:
    """What a configuration says; `folder` is where it stands, for the errors of `read_configuration`."""
    kind = raw.get("model_type")
    if kind == "musicgen_melody":
        raise ModelUnsupported(
            f"{folder} holds a MusicGen Melody model, which reads a melody beside the sentence and is built "
            "otherwise: it is not supported yet. The studio plays facebook/musicgen-small, -medium and "
            f"-large, and facebook/musicgen-stereo-small, -medium and -large. {_CHOOSE_ANOTHER}"
        )
    if kind != "musicgen":
        raise ModelUnsupported(
            f"{folder} holds a model of type {kind!r}; the studio plays MusicGen (type 'musicgen'), such as "
            f"facebook/musicgen-small. {_CHOOSE_ANOTHER}"
        )
    text, audio, decoder = (_part(raw, name, folder) for name in ("text_encoder", "audio_encoder", "decoder"))
    _require_type(text, "t5", folder)
    _require_type(audio, "encodec", folder)
    shape = _decoder_shape(decoder, folder)
    return ModelConfiguration(
        text_encoder=_text_encoder_shape(text, folder),
        decoder=shape,
        codec=_codec_shape(audio, folder, decoder=shape),
        sample_rate=_whole(audio, "sampling_rate", 24_000, folder),
    )


def _read_json(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG_NAME
    if not folder.is_dir():
        raise ModelMissing(
            f"There is no model folder at {folder}. Download a model with `text2song model add`, or see what "
            "is there with `text2song model list`."
        )
    if not path.is_file():
        raise ModelMissing(
            f"{folder} holds no {CONFIG_NAME}, so it is not a model folder. Download a model with "
            "`text2song model add`."
        )
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelCorrupt(f"{path} is not valid JSON ({error}). Download the model again.") from error
    if not isinstance(raw, dict):
        raise ModelCorrupt(f"{path} is not a JSON object. Download the model again.")
    return raw


def _part(raw: Mapping[str, Any], name: str, folder: Path) -> dict[str, Any]:
    part = raw.get(name)
    if not isinstance(part, dict):
        raise ModelCorrupt(f"{folder / CONFIG_NAME} has no {name!r} part. Download the model again.")
    return dict(part)


def _require_type(part: Mapping[str, Any], kind: str, folder: Path) -> None:
    if part.get("model_type", kind) != kind:
        raise ModelUnsupported(
            f"{folder} uses {part['model_type']!r} where the studio plays only {kind!r}. {_CHOOSE_ANOTHER}"
        )


def _whole(part: Mapping[str, Any], name: str, default: int, folder: Path) -> int:
    value = part.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _absurd(name, value, "a positive whole number", folder)
    return value


def _number(part: Mapping[str, Any], name: str, default: float, folder: Path) -> float:
    value = part.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise _absurd(name, value, "a number from 0 to 1", folder)
    return float(value)


def _flag(part: Mapping[str, Any], name: str, folder: Path, *, default: bool) -> bool:
    value = part.get(name, default)
    if not isinstance(value, bool):
        raise _absurd(name, value, "true or false", folder)
    return value


def _choice(part: Mapping[str, Any], name: str, known: tuple[_Word, ...], folder: Path) -> _Word:
    """One of the words that the studio knows; the first of them is what absence means."""
    value = part.get(name, known[0])
    for word in known:
        if value == word:
            return word
    raise _unsupported(folder, f"its {name} is {value!r}; the studio plays only {' and '.join(known)}")


def _absurd(name: str, value: object, wanted: str, folder: Path) -> ModelCorrupt:
    return ModelCorrupt(
        f"{folder / CONFIG_NAME}: {name} is {value!r}, not {wanted}. Download the model again."
    )


def _at_odds(shape: object, folder: Path) -> ModelCorrupt:
    return ModelCorrupt(
        f"{folder / CONFIG_NAME}: its numbers do not fit together: {shape}. Download the model again."
    )


def _unsupported(folder: Path, words: str) -> ModelUnsupported:
    return ModelUnsupported(f"{folder}: {words}. {_CHOOSE_ANOTHER}")


def _text_encoder_shape(part: Mapping[str, Any], folder: Path) -> TextEncoderShape:
    shape = TextEncoderShape(
        layers=_whole(part, "num_layers", 6, folder),
        width=_whole(part, "d_model", 512, folder),
        heads=_whole(part, "num_heads", 8, folder),
        head_width=_whole(part, "d_kv", 64, folder),
        ffn_width=_whole(part, "d_ff", 2048, folder),
        is_gated=_IS_GATED[_choice(part, "feed_forward_proj", tuple(_IS_GATED), folder)],
        tokens=_whole(part, "vocab_size", 32_128, folder),
        buckets=_whole(part, "relative_attention_num_buckets", 32, folder),
        max_distance=_whole(part, "relative_attention_max_distance", 128, folder),
        norm_epsilon=_number(part, "layer_norm_epsilon", 1e-6, folder),
    )
    # A quarter of the buckets holds one distance each; the rest of a direction's share their range.
    if shape.buckets % 4 or shape.max_distance <= shape.buckets // 4:
        raise _at_odds(shape, folder)
    return shape


def _decoder_shape(part: Mapping[str, Any], folder: Path) -> DecoderShape:
    _choice(part, "activation_function", ("gelu",), folder)
    shape = DecoderShape(
        layers=_whole(part, "num_hidden_layers", 24, folder),
        width=_whole(part, "hidden_size", 1024, folder),
        heads=_whole(part, "num_attention_heads", 16, folder),
        ffn_width=_whole(part, "ffn_dim", 4096, folder),
        codebooks=_whole(part, "num_codebooks", 4, folder),
        channels=_whole(part, "audio_channels", 1, folder),
        codebook_size=_whole(part, "vocab_size", 2048, folder),
        positions=_whole(part, "max_position_embeddings", 2048, folder),
    )
    fits = shape.width % shape.heads == 0 and shape.codebooks % shape.channels == 0
    fits = fits and shape.positions > shape.last_offset  # or not one frame would have room
    if not fits or shape.channels > 2 or shape.codebook_size > 2**15 - 1:
        raise _at_odds(shape, folder)
    return shape


def _codec_shape(part: Mapping[str, Any], folder: Path, *, decoder: DecoderShape) -> CodecShape:
    """The shape of the codec, which plays the decoder's codes: each channel's by itself."""
    if part.get("normalize") or part.get("chunk_length_s"):
        raise _unsupported(folder, "its codec normalises or cuts its sound, which the studio's do not")
    if part.get("audio_channels", 1) != 1:
        raise _unsupported(
            folder, "its codec has more than one channel; the studio plays stereo as two of one"
        )
    _choice(part, "norm_type", ("weight_norm",), folder)
    shape = CodecShape(
        codebooks=decoder.codebooks // decoder.channels,
        codebook_size=_whole(part, "codebook_size", 1024, folder),
        features=_whole(part, "hidden_size", 128, folder),
        filters=_whole(part, "num_filters", 32, folder),
        ratios=_ratios(part, folder),
        kernel=_whole(part, "kernel_size", 7, folder),
        last_kernel=_whole(part, "last_kernel_size", 7, folder),
        residual_kernel=_whole(part, "residual_kernel_size", 3, folder),
        residual_layers=_whole(part, "num_residual_layers", 1, folder),
        dilation_growth=_whole(part, "dilation_growth_rate", 2, folder),
        compress=_whole(part, "compress", 2, folder),
        has_conv_shortcut=_flag(part, "use_conv_shortcut", folder, default=True),
        lstm_layers=_whole(part, "num_lstm_layers", 2, folder),
        is_causal=_flag(part, "use_causal_conv", folder, default=True),
        pad_mode=_choice(part, "pad_mode", _PAD_MODES, folder),
        trim_right_ratio=_number(part, "trim_right_ratio", 1.0, folder),
    )
    fits = (
        shape.codebook_size >= decoder.codebook_size
        and part.get("codebook_dim") in (None, shape.features)
        and (shape.is_causal or shape.trim_right_ratio == 1.0)
        and shape.compress <= shape.filters
    )
    if not fits:
        raise _at_odds(shape, folder)
    return shape


def _ratios(audio: Mapping[str, Any], folder: Path) -> tuple[int, ...]:
    ratios = audio.get("upsampling_ratios", [8, 5, 4, 2])
    is_list = isinstance(ratios, list) and len(ratios) > 0
    if not is_list or not all(isinstance(r, int) and r > 0 for r in ratios):
        raise _absurd("upsampling_ratios", ratios, "a list of positive whole numbers", folder)
    return tuple(ratios)
