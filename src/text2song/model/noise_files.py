"""The small files of the untrained model: configuration, tokenizer, and what transformers reads besides."""

from typing import Any, Final

from text2song.model.configuration import CONFIG_NAME
from text2song.model.incoming import TOKENIZER_NAME

_END, _UNKNOWN, _FIRST_BYTE = 1, 2, 3  # token ids; 0 pads
_CODEBOOK_SIZE: Final = 2048


def small_files(*, audio_channels: int) -> dict[str, dict[str, Any]]:
    """Each file's content, by its name."""
    return {
        CONFIG_NAME: _config(audio_channels),
        "generation_config.json": _generation_config(),
        TOKENIZER_NAME: _tokenizer(),
        "tokenizer_config.json": _tokenizer_config(),
        "preprocessor_config.json": _preprocessor_config(),
    }


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
