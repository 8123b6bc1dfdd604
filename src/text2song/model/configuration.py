"""What a model folder's `config.json` says, checked before any weight is read. Needs no torch.

Only MusicGen as transformers writes it is understood: a T5 text encoder, a MusicGen decoder, an
EnCodec codec. Defaults are those of transformers' `MusicgenDecoderConfig`, since older files leave
some values out.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from text2song.errors import ModelCorrupt, ModelMissing, ModelUnsupported

CONFIG_NAME: Final = "config.json"
_CHOOSE_ANOTHER: Final = "Choose another model with `text2song model add`."
TRAINED_DURATION_SECONDS: Final = 30.0
"""MusicGen was trained on clips of at most 30 s and knows nothing of longer ones."""


@dataclass(frozen=True, slots=True)
class DecoderShape:
    """The numbers that decide the decoder's tensors."""

    layers: int
    width: int
    """Features of a hidden state."""
    heads: int
    ffn_width: int
    codebooks: int
    channels: int
    codebook_size: int
    """Codes in a codebook; the special token comes after the last one."""
    positions: int
    """Steps that the position table holds."""

    @property
    def head_width(self) -> int:
        """Features of one attention head."""
        return self.width // self.heads

    @property
    def special(self) -> int:
        """The token that stands wherever no code does."""
        return self.codebook_size


@dataclass(frozen=True, slots=True)
class ModelConfiguration:
    """A checked `config.json`."""

    decoder: DecoderShape
    text_encoder: dict[str, Any]
    """As in the file: the keyword arguments of transformers' `T5Config`."""
    audio_encoder: dict[str, Any]
    """As in the file: the keyword arguments of transformers' `EncodecConfig`."""
    sample_rate: int
    """Hz."""
    samples_per_frame: int

    @property
    def frame_rate(self) -> float:
        """Codec frames a second."""
        return self.sample_rate / self.samples_per_frame

    @property
    def max_duration_seconds(self) -> float:
        """The trained length, or less where the position table is shorter."""
        last_offset = (self.decoder.codebooks - 1) // self.decoder.channels
        frames = self.decoder.positions - last_offset
        return min(TRAINED_DURATION_SECONDS, frames / self.frame_rate)


def read_configuration(folder: Path) -> ModelConfiguration:
    """The configuration of a model folder.

    Raises:
        ModelMissing: there is no such folder, or it holds no config.json.
        ModelCorrupt: config.json is not JSON, or a value in it cannot be.
        ModelUnsupported: another architecture, or a variant that the studio does not play.
    """
    raw = _read_json(folder)
    kind = raw.get("model_type")
    if kind != "musicgen":
        raise ModelUnsupported(
            f"{folder} holds a model of type {kind!r}; the studio plays MusicGen (type 'musicgen'), such as "
            f"facebook/musicgen-small. {_CHOOSE_ANOTHER}"
        )
    text, audio, decoder = (_part(raw, name, folder) for name in ("text_encoder", "audio_encoder", "decoder"))
    _require_type(text, "t5", folder)
    _require_type(audio, "encodec", folder)
    if audio.get("normalize") or audio.get("chunk_length_s"):
        raise ModelUnsupported(
            f"{folder}: its codec normalises or cuts its sound, which the studio's do not. {_CHOOSE_ANOTHER}"
        )
    if decoder.get("activation_function", "gelu") != "gelu":
        raise ModelUnsupported(
            f"{folder}: its decoder's activation is not 'gelu'; the studio plays no other. {_CHOOSE_ANOTHER}"
        )
    return ModelConfiguration(
        decoder=_decoder_shape(decoder, folder),
        text_encoder=text,
        audio_encoder=audio,
        sample_rate=_whole(audio, "sampling_rate", 24_000, folder),
        samples_per_frame=math.prod(_ratios(audio, folder)),
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
        raise ModelCorrupt(
            f"{folder / CONFIG_NAME}: {name} is {value!r}, not a positive whole number. "
            "Download the model again."
        )
    return value


def _ratios(audio: Mapping[str, Any], folder: Path) -> list[int]:
    ratios = audio.get("upsampling_ratios", [8, 5, 4, 2])
    if not isinstance(ratios, list) or not all(isinstance(r, int) and r > 0 for r in ratios):
        raise ModelCorrupt(
            f"{folder / CONFIG_NAME}: upsampling_ratios is {ratios!r}. Download the model again."
        )
    return ratios


def _decoder_shape(part: Mapping[str, Any], folder: Path) -> DecoderShape:
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
    if not fits or shape.channels > 2 or shape.codebook_size > 2**15 - 1:
        raise ModelCorrupt(
            f"{folder / CONFIG_NAME}: the decoder's numbers do not fit together: {shape}. Download the model "
            "again."
        )
    return shape
