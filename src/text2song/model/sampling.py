"""How the codes of one row are drawn from the decoder's logits.

Every row has its own generator, so that its codes never depend on its neighbours. The order of the
operations is that of transformers 5 (guidance, temperature, top-k, top-p, softmax, multinomial):
with the same seed a row gets the same codes as `MusicgenForConditionalGeneration.generate`, bit for bit.

Legend: K codebooks, V codes in a codebook.
"""

import torch
from torch import Tensor

from text2song.music.sampling import SamplingParams


def generator_for(seed: int) -> torch.Generator:
    """A row's own source of chance, on the CPU whatever the device: one seed, one stream.

    torch's CPU generator reads the low 32 bits of a seed, so seeds that differ by a multiple of
    2**32 give the same stream.
    """
    return torch.Generator().manual_seed(seed)


def guided(conditional: Tensor, null: Tensor, *, scale: float) -> Tensor:
    """Classifier-free guidance (Ho & Salimans 2022): past the conditional logits, away from the null ones."""
    return null + (conditional - null) * scale


def kept_logits(logits: Tensor, *, params: SamplingParams) -> Tensor:
    """Logits [K, V] after temperature, with minus infinity where top-k or top-p rule a code out."""
    if params.temperature != 1.0:
        logits = logits / params.temperature
    if params.top_k:
        kept = min(params.top_k, logits.shape[-1])
        weakest = torch.topk(logits, kept).values[..., -1:]  # [K, 1]
        logits = logits.masked_fill(logits < weakest, -torch.inf)
    if params.top_p < 1.0:
        logits = _nucleus(logits, top_p=params.top_p)
    return logits


def _nucleus(logits: Tensor, *, top_p: float) -> Tensor:
    """Rule out the least likely codes as long as their probabilities sum to at most 1 - `top_p`."""
    ascending, order = torch.sort(logits)  # [K, V]
    is_tail = ascending.softmax(-1).cumsum(-1) <= 1 - top_p
    is_tail[..., -1] = False  # the most likely code always stays
    return logits.masked_fill(is_tail.scatter(-1, order, is_tail), -torch.inf)


def draw(logits: Tensor, *, params: SamplingParams, generator: torch.Generator) -> Tensor:
    """One code for each codebook: logits [K, V] to codes [K]."""
    probabilities = kept_logits(logits, params=params).softmax(-1)
    return torch.multinomial(probabilities, 1, generator=generator)[:, 0]
