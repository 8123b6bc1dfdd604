"""How the codes of rows are drawn from the decoder's logits.

Every row has its own generator, so that its codes never depend on its neighbours. The order of the
operations is that of transformers 5 (guidance, temperature, top-k, top-p, softmax, multinomial):
with the same seed a row gets the same codes as `MusicgenForConditionalGeneration.generate`, bit for bit.

torch draws one of several codes by dividing each one's probability by a number of an exponential
distribution, and taking the largest quotient. Those numbers, here *chances*, depend on the generator alone.
So they are drawn apart, on the processor whatever computes the rest, and if need be before the logits are
there.

Legend: B rows, G streams of a row, K codebooks, V codes in a codebook.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from text2song.music.sampling import SamplingParams


def generator_for(seed: int) -> torch.Generator:
    """A row's own source of chance, on the CPU whatever the device: one seed, one stream.

    torch's CPU generator reads the low 32 bits of a seed, so seeds that differ by a multiple of
    2**32 give the same stream.
    """
    return torch.Generator().manual_seed(seed)


def chances(generator: torch.Generator, *, codebooks: int, codes: int) -> Tensor:
    """What decides one draw of each codebook: [K, V], the numbers that `torch.multinomial` would draw."""
    return torch.empty(codebooks, codes).exponential_(generator=generator)


def guided(conditional: Tensor, null: Tensor, *, scale: float) -> Tensor:
    """Classifier-free guidance (Ho & Salimans 2022): past the conditional logits, away from the null ones."""
    return null + (conditional - null) * scale


def kept_logits(logits: Tensor, *, params: SamplingParams) -> Tensor:
    """Logits [..., V] after temperature, with minus infinity where top-k or top-p rule a code out."""
    if params.temperature != 1.0:
        logits = logits / params.temperature
    if params.top_k:
        codes = logits.shape[-1]
        weaker = codes - min(params.top_k, codes)
        weakest = torch.kthvalue(logits, weaker + 1, keepdim=True).values  # [..., 1]
        logits = logits.masked_fill(logits < weakest, -torch.inf)
    if params.top_p < 1.0:
        logits = _nucleus(logits, top_p=params.top_p)
    return logits


def _nucleus(logits: Tensor, *, top_p: float) -> Tensor:
    """Rule out the least likely codes as long as their probabilities sum to at most 1 - `top_p`."""
    ascending, order = torch.sort(logits)  # [..., V]
    is_tail = ascending.softmax(-1).cumsum(-1) <= 1 - top_p
    is_tail[..., -1] = False  # the most likely code always stays
    return logits.masked_fill(is_tail.scatter(-1, order, is_tail), -torch.inf)


def draw(logits: Tensor, *, params: SamplingParams, chances: Tensor) -> Tensor:
    """One code for each codebook: logits and chances [..., K, V] to codes [..., K]."""
    return (kept_logits(logits, params=params).softmax(-1) / chances).argmax(-1)


def draw_together(
    logits: Sequence[Tensor], *, sampling: Sequence[SamplingParams], chances: Sequence[Tensor]
) -> list[Tensor | None]:
    """The codes [K] of every row, on the processor; None for a row whose logits are no numbers.

    Takes each row's logits [G, K, V], wherever they are, and its chances [K, V]. Rows that are drawn in the
    same way are drawn at once; no operation reaches from one to another.
    """
    alike: dict[SamplingParams, list[int]] = {}
    for row, params in enumerate(sampling):
        alike.setdefault(params, []).append(row)
    codes: list[Tensor | None] = [None] * len(logits)
    for params, rows in alike.items():
        streams = torch.stack([logits[row] for row in rows], 1)  # [G, B, K, V]
        combined = streams[0]
        if len(streams) == 2:
            combined = guided(streams[0], streams[1], scale=params.guidance_scale)
        decide = torch.stack([chances[row] for row in rows]).to(combined.device)
        drawn = draw(combined, params=params, chances=decide).cpu()  # [B, K]
        is_finite = (combined / params.temperature).isfinite().flatten(1).all(1).tolist()
        for row, mine, is_sound in zip(rows, drawn, is_finite, strict=True):
            codes[row] = mine if is_sound else None
    return codes
