"""A tiny untrained MusicGen: the studio's stand-in until a trained model is there, and the tests' model.

It has MusicGen's architecture and file format, and transformers loads it unchanged; its weights are
noise, and so is its sound. Every weight comes from Python's Mersenne Twister, seeded with the
tensor's name, by way of 16-bit integers and one exact float32 operation: the same seed gives the
same bytes, and so the same fingerprint, on every machine, whatever its processor and whatever the
versions of torch and transformers, as long as safetensors lays out its files as it does.
"""

import json
import math
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import EncodecConfig, EncodecModel, T5Config, T5EncoderModel

from text2song.errors import ModelMissing
from text2song.model.configuration import CONFIG_NAME, read_configuration
from text2song.model.decoder import Decoder
from text2song.model.manifest import Manifest
from text2song.model.text import TOKENIZER_NAME
from text2song.model.weights import SINGLE_NAME, fingerprint
from text2song.names import NOISE_MODEL

_RECIPE: Final = 1
"""Rises when the same seed would give other weights."""
_END, _UNKNOWN, _FIRST_BYTE = 1, 2, 3  # token ids; 0 pads
_LAST_CONVOLUTION_GAIN: Final = 0.3
"""Found by trial: the sound's level is then about -20 dBFS, its peaks far from full scale."""
_CODEBOOK_SIZE: Final = 2048


def build_noise_model(folder: Path, *, seed: int = 0, audio_channels: int = 1) -> Path:
    """Make the model in `folder`, unless it is there already; answers `folder`.

    Built beside the folder and renamed, so that two processes may do it at once and a killed one
    leaves nothing half made.
    """
    revision = f"recipe-{_RECIPE}-seed-{seed}-channels-{audio_channels}"
    if _is_built(folder, revision):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        draft.chmod(0o755)  # mkdtemp's folders are private
        _write(draft, seed=seed, audio_channels=audio_channels, revision=revision)
        _put(draft, folder, revision)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def _is_built(folder: Path, revision: str) -> bool:
    return folder.is_dir() and Manifest.read(folder).revision == revision


def _put(draft: Path, folder: Path, revision: str) -> None:
    """Rename the draft to its place, where another process may just have put the same."""
    try:
        draft.rename(folder)
    except OSError:
        if _is_built(folder, revision):
            return
        if Manifest.read(folder).id != NOISE_MODEL:
            raise ModelMissing(
                f"{folder} is in the way: it is not the noise model. Move it, or choose another folder."
            ) from None
        draft_of_old = draft.with_name(f"{draft.name}-old")
        folder.rename(draft_of_old)
        draft.rename(folder)
        shutil.rmtree(draft_of_old)


def _write(folder: Path, *, seed: int, audio_channels: int, revision: str) -> None:
    _write_json(folder / CONFIG_NAME, _config(audio_channels))
    _write_json(folder / "generation_config.json", _generation_config())
    _write_json(folder / TOKENIZER_NAME, _tokenizer())
    _write_json(folder / "tokenizer_config.json", _tokenizer_config())
    _write_json(folder / "preprocessor_config.json", _preprocessor_config())
    save_file(_weights(folder, seed=seed), folder / SINGLE_NAME, metadata={"format": "pt"})
    Manifest(
        id=NOISE_MODEL,
        revision=revision,
        license="Apache-2.0",
        is_trained=False,
        fingerprint=fingerprint(folder),
        size_bytes=(folder / SINGLE_NAME).stat().st_size,
    ).write(folder)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _config(audio_channels: int) -> dict[str, Any]:
    """MusicGen's shape at a thousandth of its size; the codec's frame rate and ratios are the real ones."""
    return {
        "architectures": ["MusicgenForConditionalGeneration"],
        "model_type": "musicgen",
        "is_encoder_decoder": True,
        "text_encoder": {
            "model_type": "t5",
            "vocab_size": _FIRST_BYTE + 256,
            "d_model": 32,
            "d_kv": 8,
            "d_ff": 64,
            "num_layers": 1,
            "num_heads": 4,
            "decoder_start_token_id": 0,
        },
        "audio_encoder": {
            "model_type": "encodec",
            "sampling_rate": 32_000,
            "audio_channels": 1,
            "target_bandwidths": [2.2],
            "upsampling_ratios": [8, 5, 4, 4],
            "codebook_size": _CODEBOOK_SIZE,
            "hidden_size": 16,
            "num_filters": 4,
            "num_lstm_layers": 1,
            "use_causal_conv": False,
            "use_conv_shortcut": False,
        },
        "decoder": {
            "model_type": "musicgen_decoder",
            "vocab_size": _CODEBOOK_SIZE,
            "num_codebooks": 4 * audio_channels,
            "audio_channels": audio_channels,
            "hidden_size": 64,
            "num_attention_heads": 4,
            "num_hidden_layers": 2,
            "ffn_dim": 128,
            "max_position_embeddings": 2048,
            "pad_token_id": _CODEBOOK_SIZE,
            "bos_token_id": _CODEBOOK_SIZE,
        },
    }


def _generation_config() -> dict[str, Any]:
    """For those who play the folder with transformers; the values are published MusicGen's."""
    special = dict.fromkeys(("bos_token_id", "decoder_start_token_id", "pad_token_id"), _CODEBOOK_SIZE)
    return {**special, "do_sample": True, "guidance_scale": 3.0, "max_length": 1500, "top_k": 250}


def _tokenizer() -> dict[str, Any]:
    """One token for each byte of UTF-8, so that no text is unknown; `</s>` at the end, as T5 has it."""
    specials = {"<pad>": 0, "</s>": _END, "<unk>": _UNKNOWN}
    letters = {letter: _FIRST_BYTE + byte for byte, letter in enumerate(_byte_letters())}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    sentence, end = ({"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}})
    return {
        "version": "1.0",
        "added_tokens": [{"id": number, "content": token, **flags} for token, number in specials.items()],
        "pre_tokenizer": byte_level,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [sentence, end],
            "pair": [sentence, end],
            "special_tokens": {"</s>": {"id": "</s>", "ids": [_END], "tokens": ["</s>"]}},
        },
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": specials | letters, "merges": []},
    }


def _byte_letters() -> list[str]:
    """The printable letter that the byte-level convention (Radford et al. 2019, GPT-2) gives each byte."""
    printable = {
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    }
    others = (byte for byte in range(256) if byte not in printable)
    moved = {byte: chr(256 + position) for position, byte in enumerate(others)}
    return [moved.get(byte, chr(byte)) for byte in range(256)]


def _tokenizer_config() -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": "<pad>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
    }


def _preprocessor_config() -> dict[str, Any]:
    return {"feature_extractor_type": "EncodecFeatureExtractor", "feature_size": 1, "sampling_rate": 32_000}


def _weights(folder: Path, *, seed: int) -> dict[str, Tensor]:
    """Every tensor that the folder's configuration demands, under transformers' names."""
    configuration = read_configuration(folder)
    made: dict[str, Tensor] = {}

    def make(name: str, shape: tuple[int, ...]) -> Tensor:
        made[name] = _tensor(name, shape, seed=seed)
        return made[name]

    with torch.device("meta"):
        text = T5EncoderModel(T5Config(**configuration.text_encoder))
    for name, parameter in text.named_parameters():  # tied tensors appear once
        make(f"text_encoder.{name}", tuple(parameter.shape))
    width = configuration.decoder.width
    make("enc_to_dec_proj.weight", (width, text.config.d_model))
    make("enc_to_dec_proj.bias", (width,))
    Decoder(configuration.decoder, read=make, backend="plain", dtype=torch.float32)  # asks for all it needs
    codec = EncodecModel(EncodecConfig(**configuration.audio_encoder))
    last = f"decoder.layers.{len(codec.decoder.layers) - 1}.conv.parametrizations.weight.original0"
    for name, tensor in codec.state_dict().items():
        made[f"audio_encoder.{name}"] = _codec_tensor(name, tuple(tensor.shape), seed=seed)
    made[f"audio_encoder.{last}"] *= _LAST_CONVOLUTION_GAIN
    return made


def _codec_tensor(name: str, shape: tuple[int, ...], *, seed: int) -> Tensor:
    """As `_tensor`, for the codec's own kinds: gains of weight norm, and codebooks with their statistics."""
    if name.endswith(("original0", "inited", "cluster_size")):
        return torch.ones(shape)
    if name.endswith("embed_avg"):
        return _codec_tensor(name.removesuffix("_avg"), shape, seed=seed)
    return _tensor(f"audio_encoder.{name}", shape, seed=seed)


def _tensor(name: str, shape: tuple[int, ...], *, seed: int) -> Tensor:
    """Zeros for a bias, ones for a norm, else noise.

    Of unit variance for what is looked up in a table, of variance 1 / fan-in for what is multiplied with.
    """
    if "bias" in name and "relative" not in name:
        return torch.zeros(shape)
    if "norm" in name:
        return torch.ones(shape)
    is_table = "embed" in name or "shared" in name or "relative" in name
    deviation = 1.0 if is_table else 1 / math.sqrt(math.prod(shape[1:]))
    noise = random.Random(f"{seed}:{name}").randbytes(2 * math.prod(shape))  # noqa: S311 - wanted: the same everywhere
    whole = np.frombuffer(noise, dtype="<i2").astype(np.float32)  # uniform, deviation 2**16 / sqrt(12)
    scale = np.float32(deviation * math.sqrt(12) / 2**16)
    return torch.from_numpy(whole * scale).reshape(shape)
