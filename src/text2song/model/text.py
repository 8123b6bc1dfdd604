"""The sentence, as the decoder reads it: tokens, T5's encoding, and the projection to the decoder's width.

One sentence at a time and without padding, so that its encoding never depends on the others of a
batch; encodings are kept, since a musician asks for many takes of one sentence.

Legend: E tokens of the sentence, H the decoder's width.
"""

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
import torch.nn.functional as F  # noqa: N812 - the name that every torch program gives it
from torch import Tensor
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

from text2song.errors import ModelCorrupt
from text2song.model.checkpoint import Checkpoint

TOKENIZER_NAME: Final = "tokenizer.json"
_KEPT_SENTENCES: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class EncodedSentence:
    """`states` is [E, H]."""

    token_ids: tuple[int, ...]
    states: Tensor


class TextReader:
    """Tokenizer, T5 encoder and projection."""

    def __init__(self, checkpoint: Checkpoint, *, config: dict[str, Any], width: int) -> None:
        self._tokenizer = _load_tokenizer(checkpoint.folder)
        with torch.device("meta"):  # shapes only: every weight comes from the checkpoint
            self._encoder = T5EncoderModel(T5Config(**config))
        self._encoder.train(mode=False)
        checkpoint.fill(
            self._encoder,
            prefix="text_encoder.",
            aliases={
                "encoder.embed_tokens.weight": "shared.weight",
                "shared.weight": "encoder.embed_tokens.weight",
            },
        )
        text_width = self._encoder.config.d_model
        self._projection = None
        if text_width != width:
            weight = checkpoint.read("enc_to_dec_proj.weight", shape=(width, text_width))
            self._projection = (weight, checkpoint.read("enc_to_dec_proj.bias", shape=(width,)))
        self._kept: OrderedDict[str, EncodedSentence] = OrderedDict()

    def encode(self, sentence: str) -> EncodedSentence:
        """The sentence's tokens and states; the last few dozen sentences are remembered."""
        encoded = self._kept.pop(sentence, None) or self._encode(sentence)
        self._kept[sentence] = encoded
        if len(self._kept) > _KEPT_SENTENCES:
            self._kept.popitem(last=False)
        return encoded

    @torch.inference_mode()
    def _encode(self, sentence: str) -> EncodedSentence:
        ids: list[int] = self._tokenizer(sentence, padding=False, truncation=False)["input_ids"]
        tokens = torch.tensor([ids])  # [1, E]
        states = self._encoder(input_ids=tokens, attention_mask=torch.ones_like(tokens)).last_hidden_state
        if self._projection is not None:
            states = F.linear(states, *self._projection)
        return EncodedSentence(token_ids=tuple(ids), states=states[0])


def _load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    path = folder / TOKENIZER_NAME
    repair = "Download the model again with `text2song model add`."
    if not path.is_file():
        raise ModelCorrupt(f"{folder} has no {TOKENIZER_NAME}, so it cannot read a sentence. {repair}")
    try:
        return PreTrainedTokenizerFast(tokenizer_file=str(path))  # type: ignore[no-untyped-call] # theirs is untyped
    except Exception as error:  # the tokenizers library raises bare Exception for a damaged file
        raise ModelCorrupt(f"{path} is damaged ({error}). {repair}") from error
