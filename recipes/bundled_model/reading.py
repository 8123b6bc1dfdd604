"""How the model reads: whole words, and a small T5 that has learned to hear a song's attributes in them.

A word that is not in the vocabulary becomes one token that says nothing. The encoder is taught first,
by itself: at every position it must tell all attributes of the song. The decoder then finds them ready,
and starts to listen to its prompt within a few hundred steps.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812  # the name that every torch program gives it
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

from recipes.bundled_model import brief as briefs
from recipes.bundled_model import words
from recipes.bundled_model.brief import Brief
from recipes.bundled_model.captions import caption

log = logging.getLogger(__name__)

WIDTH: Final = 256
_PAD, _END, _UNKNOWN = "<pad>", "</s>", "<unk>"
_SAMPLE_CAPTIONS: Final = 20_000
_NUMBERS: Final = range(20, 301)
_TEMPO_BLUR: Final = 0.02
"""How far around a tempo its neighbours count as right, as a part of it."""
_LANDMARKS: Final = 24
_TEMPI: Final = torch.arange(words.TEMPO_RANGE_BPM[0], words.TEMPO_RANGE_BPM[1] + 1).float()


def tokenizer() -> PreTrainedTokenizerFast:
    """Every word that captions use, and numbers, as one token each."""
    normalizer = normalizers.Sequence(
        [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
    )
    splitter = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=False)]
    )
    known = sorted({*_known_words(splitter), *(str(number) for number in _NUMBERS)})
    vocabulary = {word: index for index, word in enumerate([_PAD, _END, _UNKNOWN, *known])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token=_UNKNOWN))
    made.normalizer = normalizer
    made.pre_tokenizer = splitter
    made.post_processor = processors.TemplateProcessing(
        single=f"$A {_END}", special_tokens=[(_END, vocabulary[_END])]
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=made, pad_token=_PAD, eos_token=_END, unk_token=_UNKNOWN, model_max_length=256
    )


def _known_words(splitter: pre_tokenizers.PreTokenizer) -> set[str]:
    """The words of many captions, but not those that were made up to mean nothing."""
    counts: dict[str, int] = {}
    for seed in range(_SAMPLE_CAPTIONS):
        rng = Random(f"words {seed}")
        for word, _ in splitter.pre_tokenize_str(caption(briefs.draw(rng), rng).text):
            counts[word] = counts.get(word, 0) + 1
    return {word for word, count in counts.items() if count >= 60 and not word.isdigit()}


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """Captions as tokens."""

    tokens: Tensor
    """int64 [B, E]"""
    mask: Tensor
    """float [B, E], zero where a shorter caption is padded."""


def tokenize(texts: Sequence[str], reader: PreTrainedTokenizerFast) -> Reading:
    """Captions side by side."""
    encoded = reader(list(texts), padding=True, return_tensors="pt")
    return Reading(encoded["input_ids"], encoded["attention_mask"].float())


def untaught_encoder(reader: PreTrainedTokenizerFast) -> T5EncoderModel:
    """The text encoder's shape, with first weights."""
    config = T5Config(
        vocab_size=len(reader),
        d_model=WIDTH,
        d_kv=32,
        num_heads=8,
        d_ff=512,
        num_layers=2,
        num_decoder_layers=2,
        dropout_rate=0.0,
        pad_token_id=0,
        eos_token_id=1,
        feed_forward_proj="relu",
    )
    encoder = T5EncoderModel(config)
    _lay_numbers_in_line(encoder, reader)
    return encoder


@torch.no_grad()
def _lay_numbers_in_line(encoder: T5EncoderModel, reader: PreTrainedTokenizerFast) -> None:
    """Begin with tempi side by side that are so on the metronome: what is learned of one holds for the next.

    A number's embedding is a mixture of landmarks, those near it on a logarithmic scale.
    """
    landmarks = torch.linspace(float(_TEMPI[0].log()), float(_TEMPI[-1].log()), _LANDMARKS)
    width = landmarks[1] - landmarks[0]
    directions = torch.randn(_LANDMARKS, WIDTH)
    table = encoder.shared.weight
    for word, token in reader.get_vocab().items():
        if word.isdigit():
            tempo = torch.tensor(float(word)).clamp(float(_TEMPI[0]), float(_TEMPI[-1]))
            near = torch.exp(-(((tempo.log() - landmarks) / width) ** 2) / 2)
            table[token] = near / near.norm() @ directions


def teach(encoder: T5EncoderModel, reader: PreTrainedTokenizerFast, *, steps: int, batch: int) -> float:
    """Teach the encoder to tell attributes at every position; answers the last loss, in nats."""
    heads = nn.Linear(WIDTH, sum(len(c) for c in briefs.CLASSES.values()) + len(_TEMPI))
    optimizer = torch.optim.AdamW([*encoder.parameters(), *heads.parameters()], lr=1.5e-3)
    smooth = math.nan
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 1.5e-3 * min(1.0, (step + 1) / 50) * (1 - 0.97 * step / steps)
        rng = Random(f"reading {step}")
        songs = [briefs.draw(rng) for _ in range(batch)]
        reading = tokenize([caption(song, rng).text for song in songs], reader)
        states = encoder(input_ids=reading.tokens, attention_mask=reading.mask).last_hidden_state
        loss = _loss(heads(states), reading.mask, songs)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        smooth = loss.item() if math.isnan(smooth) else 0.97 * smooth + 0.03 * loss.item()
        if step % 100 == 0:
            log.info("reading: step %d of %d, loss %.3f", step, steps, smooth)
    return smooth


def _loss(logits: Tensor, mask: Tensor, songs: Sequence[Brief]) -> Tensor:
    """The sum over attributes of the cross entropy, averaged over all positions [B, E] of captions."""
    total, start = torch.zeros(()), 0
    for name, classes in briefs.CLASSES.items():
        right = torch.tensor([classes.index(getattr(song, name)) for song in songs])
        part = logits[..., start : start + len(classes)].transpose(1, 2)  # [B, classes, E]
        each = F.cross_entropy(part, right[:, None].expand(-1, logits.shape[1]), reduction="none")
        total, start = total + (each * mask).sum() / mask.sum(), start + len(classes)
    wanted = torch.tensor([float(song.tempo_bpm) for song in songs])[:, None]
    near = torch.exp(-(((_TEMPI.log() - wanted.log()) / _TEMPO_BLUR) ** 2) / 2)
    near = near / near.sum(1, keepdim=True)  # [B, tempi]
    each = -(logits[..., start:].log_softmax(-1) * near[:, None]).sum(-1)
    return total + (each * mask).sum() / mask.sum()
