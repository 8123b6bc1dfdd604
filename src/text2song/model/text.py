"""The sentence, as the decoder reads it: tokens, T5's encoding, and the projection to the decoder's width.

One sentence at a time and without padding, so that its encoding never depends on the others of a
batch; encodings are kept, since a musician asks for many takes of one sentence.

Legend: E tokens of the sentence, H the decoder's width.
"""

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812  # the name that every torch program gives it
from tokenizers import Tokenizer
from torch import Tensor

from text2song.errors import InvalidInput, ModelCorrupt
from text2song.model.checkpoint import Read
from text2song.model.manifest import own_model_in, repair
from text2song.model.shapes import TextEncoderShape
from text2song.model.t5 import TextEncoder

TOKENIZER_NAME: Final = "tokenizer.json"
TOKEN_LIMIT: Final = 4096
"""The encoder's memory and time grow with the square: 0.8 GB a table in T5-base at this length.
The longest sentence of Latin or Cyrillic text fits, even where each byte is a token."""
_KEPT_SENTENCES: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class EncodedSentence:
    """`states` is [E, H]."""

    token_ids: tuple[int, ...]
    states: Tensor


class TextReader:
    """Tokenizer, T5 encoder and projection."""

    def __init__(self, folder: Path, *, shape: TextEncoderShape, width: int, read: Read) -> None:
        self._tokenizer = _load_tokenizer(folder)
        self._encoder = TextEncoder(shape, read=read)
        self._projection = None
        if shape.width != width:
            weight = read("enc_to_dec_proj.weight", (width, shape.width))
            self._projection = (weight, read("enc_to_dec_proj.bias", (width,)))
        self._kept: OrderedDict[str, EncodedSentence] = OrderedDict()

    def encode(self, sentence: str) -> EncodedSentence:
        """The sentence's tokens and states; the last few dozen sentences are remembered.

        Raises:
            InvalidInput: it has more than `TOKEN_LIMIT` tokens.
        """
        encoded = self._kept.pop(sentence, None) or self._encode(sentence)
        self._kept[sentence] = encoded
        if len(self._kept) > _KEPT_SENTENCES:
            self._kept.popitem(last=False)
        return encoded

    def count_tokens(self, sentence: str) -> int:
        """E, without reading it.

        Raises:
            InvalidInput: it has more than `TOKEN_LIMIT` tokens.
        """
        known = self._kept.get(sentence)
        return len(known.token_ids if known is not None else self._tokenize(sentence))

    def _tokenize(self, sentence: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(sentence).ids
        if len(ids) > TOKEN_LIMIT:
            raise InvalidInput(
                f"the sentence has {len(ids)} tokens as this model reads it; {TOKEN_LIMIT} are the most. "
                "Shorten the text.",
                field="sentence",
            )
        return ids

    @torch.inference_mode()
    def _encode(self, sentence: str) -> EncodedSentence:
        ids = self._tokenize(sentence)
        states = self._encoder.encode(torch.tensor(ids, dtype=torch.int64))
        if self._projection is not None:
            states = F.linear(states, *self._projection)
        return EncodedSentence(token_ids=tuple(ids), states=states)


def _load_tokenizer(folder: Path) -> Tokenizer:
    path = folder / TOKENIZER_NAME
    advice = repair(own_model_in(folder))
    if not path.is_file():
        raise ModelCorrupt(f"{folder} has no {TOKENIZER_NAME}, so it cannot read a sentence. {advice}")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the tokenizers library raises bare Exception for a damaged file
        raise ModelCorrupt(f"{path} is damaged ({error}). {advice}") from error
    tokenizer.no_padding()  # a file may ask for both; a sentence is read as it is, and alone
    tokenizer.no_truncation()
    return tokenizer
