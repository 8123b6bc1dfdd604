"""Attention of all rows of a step by one compiled loop: see `attention.py` and `kernels/attention.py`.

Legend: R columns of all streams, N columns of all readers, A heads, D head width, L layers, S steps.
"""

from collections.abc import Iterator, Sequence

from torch import Tensor

from text2song.model.kernels.attention import Table, attend, remember
from text2song.model.track import Company, Place


class InOneLoop:
    """By the compiled loop."""

    def __init__(self, company: Company) -> None:
        past = [*_pasts(company.places, stream=0), *_pasts(company.places, stream=1)]
        self._past = Table.of([each for each, _ in past], [length for _, length in past])
        sentences = [place.track.cross for place in company.places for _ in range(place.count)]
        self._sentences = Table.of(sentences, [each.shape[-2] for each in sentences])

    def past(self, qkv: Tensor, *, layer: int) -> Tensor:
        """See `Attention`."""
        remember(qkv, self._past, layer=layer)
        return attend(qkv[:, 0], self._past, layer=layer)

    def sentence(self, query: Tensor, *, layer: int) -> Tensor:
        """See `Attention`."""
        return attend(query, self._sentences, layer=layer)


def _pasts(places: Sequence[Place], *, stream: int) -> Iterator[tuple[Tensor, int]]:
    """By column of one stream of all rows, its memory [L, 2, A, S, D] and how many steps it sees."""
    for place in places:
        if stream < place.track.streams:
            for column in range(place.count):
                yield place.track.memory[:, :, stream], place.track.step + column + 1
