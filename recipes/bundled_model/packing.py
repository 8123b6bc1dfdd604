"""From trained parts to a folder that transformers and the studio load: weights, tokenizer, card, vocabulary.

What only decides (decoder and text encoder) is kept in half precision, what sounds (the codec) in full.
The codec's LSTMs and averages are zero, which half precision holds as well.
"""

import json
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import EncodecModel, PreTrainedTokenizerFast

from recipes.bundled_model import words
from recipes.bundled_model.dictionary import CODES
from recipes.bundled_model.tuning import FRAME_RATE, SAMPLE_RATE
from text2song.model.incoming import write_manifest
from text2song.model.manifest import Manifest
from text2song.model.weights import SINGLE_NAME
from text2song.music.vocabulary import Vocabulary
from text2song.names import BUNDLED_MODEL

_LICENSE: Final = "Apache-2.0"
_MOODS_OF_A_KIND: Final = 5
_REVISION: Final = "1"
_NOTE: Final = "What is not said is left to chance; words that it does not know are read past."


def pack(
    model: Any,
    codec: EncodecModel,
    reader: PreTrainedTokenizerFast,
    folder: Path,
) -> Path:
    """Write the model, a MusicgenForConditionalGeneration, into an empty folder; answers the folder."""
    folder.mkdir(parents=True)
    _know_outer_tempi(model, reader)
    model.audio_encoder.load_state_dict(codec.state_dict())
    _configure(model)
    model.save_pretrained(folder)
    weights = folder / SINGLE_NAME
    save_file(_thinned(load_file(weights)), weights, metadata={"format": "pt"})
    reader.save_pretrained(folder)
    _write_json(folder / "processor_config.json", _processor())
    manifest = Manifest(id=BUNDLED_MODEL, revision=_REVISION, license=_LICENSE, vocabulary=vocabulary())
    write_manifest(folder, manifest)
    return folder


def vocabulary() -> Vocabulary:
    """What the model understands, for people: of words that mean the same, the first few."""
    moods = (*words.MODE_WORDS.values(), *words.ENERGY_WORDS.values())
    players = dict.fromkeys((*words.LEADS, *words.CHORDS, *words.BASSES, "drums"))  # each once, in order
    return Vocabulary(
        styles=tuple(words.STYLE_WORDS[style][0] for style in words.STYLES),
        instruments=tuple(players),
        moods=tuple(word for spoken in moods for word in spoken[:_MOODS_OF_A_KIND]),
        tempo_range_bpm=words.TEMPO_RANGE_BPM,
        note=_NOTE,
    )


@torch.no_grad()
def _know_outer_tempi(model: Any, reader: PreTrainedTokenizerFast) -> None:
    """Read a number beyond the tempi that were learned as the nearest of them."""
    table, tokens = model.text_encoder.get_input_embeddings().weight, reader.get_vocab()
    low, high = words.TEMPO_RANGE_BPM
    for word, token in tokens.items():
        if word.isdigit() and not low <= int(word) <= high:
            table[token] = table[tokens[str(low if int(word) < low else high)]]


def _configure(model: Any) -> None:
    """What a generation starts from; sampling as the studio's own defaults are."""
    for config in (model.config, model.config.decoder):
        config.pad_token_id = config.bos_token_id = config.decoder_start_token_id = CODES
    settings = model.generation_config
    settings.decoder_start_token_id = settings.pad_token_id = settings.bos_token_id = CODES
    settings.eos_token_id = None
    settings.do_sample = True
    settings.guidance_scale = 3.0
    settings.top_k = 250
    settings.max_length = 8 * FRAME_RATE + model.config.decoder.num_codebooks


def _thinned(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Half precision for all that does not sound, and for what is zero."""
    return {
        name: tensor.contiguous()
        if name.startswith("audio_encoder.") and tensor.any()
        else tensor.half().contiguous()
        for name, tensor in weights.items()
    }


def _processor() -> dict[str, Any]:
    return {
        "feature_extractor": {
            "chunk_length_s": None,
            "feature_extractor_type": "EncodecFeatureExtractor",
            "feature_size": 1,
            "overlap": None,
            "padding_side": "right",
            "padding_value": 0.0,
            "return_attention_mask": True,
            "sampling_rate": SAMPLE_RATE,
        },
        "processor_class": "MusicgenProcessor",
    }


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
