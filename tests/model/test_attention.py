"""One loop over all rows beside torch's attention row after row, at the place where the decoder uses them.

Legend: R columns of all streams, N columns of all readers, A heads, D head width.
"""

import pytest
import torch

from text2song.model.attention import RowByRow, attention_of
from text2song.model.attention_loop import InOneLoop
from text2song.model.precision import ORACLE, precision_for
from text2song.model.track import Company, Track

LAYERS, HEADS, WIDTH = 2, 3, 16
CPU = torch.device("cpu")


def tracks(dtype: torch.dtype) -> list[Track]:
    """Rows at several steps, guided and not, with sentences of several lengths."""
    chance = torch.Generator().manual_seed(5)

    def drawn(*size: int) -> torch.Tensor:
        return torch.randn(LAYERS, 2, *size, WIDTH, generator=chance).to(dtype)

    return [
        Track(memory=drawn(streams, HEADS, 50), cross=drawn(HEADS, tokens), updates=None, step=step)
        for streams, tokens, step in ((1, 4, 7), (2, 9, 0), (2, 1, 33), (1, 3, 12))
    ]


@pytest.mark.parametrize("counts", [[1, 1, 1, 1], [1, 5, 1, 3]], ids=["a column each", "several columns"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 2e-2)])
def test_both_ways_read_and_remember_the_same(
    counts: list[int], dtype: torch.dtype, tolerance: float
) -> None:
    """Beside bfloat16 memories torch's attention computes in bfloat16, too."""
    found = []
    for make in (RowByRow, InOneLoop):
        rows = tracks(dtype)
        company = Company.of(rows, counts=counts, device=CPU)
        chance = torch.Generator().manual_seed(1)
        qkv = torch.randn(len(company.sources), 3, HEADS, WIDTH, generator=chance)
        query = torch.randn(company.readers, HEADS, WIDTH, generator=chance)
        attention = make(company)
        flowing = dtype if make is RowByRow else torch.float32
        past = attention.past(qkv.to(flowing), layer=1)
        sentence = attention.sentence(query.to(flowing), layer=1)
        found.append((past, sentence, *(row.memory for row in rows)))
    for ours, reference in zip(*found, strict=True):
        assert (ours.float() - reference.float()).abs().max() < tolerance


def test_the_oracle_asks_torch_and_the_product_does_not() -> None:
    company = Company.of(tracks(torch.float32), counts=[1] * 4, device=CPU)
    assert isinstance(attention_of(company, ORACLE), RowByRow)
    assert isinstance(attention_of(company, precision_for("float32", device=CPU)), InOneLoop)
