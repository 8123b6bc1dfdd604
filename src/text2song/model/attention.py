"""How the rows of one step read what they remember: their own past, and their sentence.

Each row reads its own memory at its own length, whoever is beside it. `RowByRow` does so by torch's
attention, row after row, as the oracle and on a GPU (docs/decisions/0005); `InOneLoop` by one compiled loop
over all rows (docs/decisions/0014).

Legend: B rows, G streams of one row (1 or 2), n columns of one row in one step, N columns of all readers,
R columns of all streams, A heads, D head width.
"""

from typing import Protocol

import torch
import torch.nn.functional as F  # noqa: N812  # the name that every torch program gives it
from torch import Tensor

from text2song.model.precision import Precision
from text2song.model.track import Company


class Attention(Protocol):
    """Of one step's rows; `layer` counts the decoder's layers."""

    def past(self, qkv: Tensor, *, layer: int) -> Tensor:
        """Remember keys and values, and read: queries, keys and values [R, 3, A, D] to [R, A, D]."""

    def sentence(self, query: Tensor, *, layer: int) -> Tensor:
        """Queries of the readers to what they read: [N, A, D]."""


def attention_of(company: Company, precision: Precision) -> Attention:
    """By torch where products are torch's, else in one loop."""
    if precision.products == "plain":
        return RowByRow(company)
    from text2song.model.attention_loop import InOneLoop  # noqa: PLC0415  # a GPU needs no compiler

    return InOneLoop(company)


class RowByRow:
    """By torch's attention."""

    def __init__(self, company: Company) -> None:
        self._company = company

    def past(self, qkv: Tensor, *, layer: int) -> Tensor:
        """See `Attention`."""
        mixed = torch.empty_like(qkv[:, 0])
        for place in self._company.places:
            track, end = place.track, place.track.step + place.count
            query, key, value = self._company.by_stream(place, qkv).permute(
                2, 0, 3, 1, 4
            )  # [G, A, n, D] each
            keys, values = track.memory[layer]  # [G, A, S, D] each
            keys[:, :, track.step : end] = key
            values[:, :, track.step : end] = value
            made = F.scaled_dot_product_attention(
                query, keys[:, :, :end], values[:, :, :end], attn_mask=place.is_seen
            )
            self._company.put(place, made.transpose(1, 2), into=mixed)  # [G, n, A, D]
        return mixed

    def sentence(self, query: Tensor, *, layer: int) -> Tensor:
        """See `Attention`."""
        parts = []
        for place in self._company.places:
            mine = query[place.columns].transpose(0, 1)[None]  # [1, A, n, D]
            mixed = F.scaled_dot_product_attention(mine, *place.track.cross[layer][:, None])
            parts.append(mixed[0].transpose(0, 1))  # [n, A, D]
        return torch.cat(parts)
