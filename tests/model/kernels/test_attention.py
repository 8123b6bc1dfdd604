"""Held to the definition in double precision.

Legend: A heads, D head width, L layers, S steps that a memory holds.
"""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from text2song.model.kernels.attention import Table, attend, remember

LAYERS, HEADS = 3, 5
DTYPES = (torch.float32, torch.bfloat16)
WIDTHS = (64, 48, 16, 8, 4, 3)


def memories(width: int, dtype: torch.dtype, lengths: Sequence[int], *, steps: int = 200) -> list[Tensor]:
    """Of several rows [L, 2, A, S, D], every second one a stream of two; NaN where nothing may be read."""
    chance = torch.Generator().manual_seed(width)
    found = []
    for number, length in enumerate(lengths):
        both = torch.full((LAYERS, 2, 2, HEADS, steps, width), torch.nan, dtype=dtype)
        memory = both[:, :, number % 2]
        memory[..., :length, :] = torch.randn(LAYERS, 2, HEADS, length, width, generator=chance).to(dtype)
        found.append(memory)
    return found


def defined(query: Tensor, memory: Tensor, length: int) -> Tensor:
    """One query [A, D] over one layer's [2, A, S, D]."""
    keys, values = memory[:, :, :length].double()
    scores = (keys @ query.double()[:, :, None])[:, :, 0] / query.shape[1] ** 0.5  # [A, n]
    read: Tensor = (scores.softmax(1)[:, None] @ values)[:, 0]
    return read


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", WIDTHS)
def test_every_query_reads_its_own_memory_to_its_own_length(width: int, dtype: torch.dtype) -> None:
    lengths = [1, 2, 15, 16, 17, 33, 129, 200]
    held = memories(width, dtype, lengths)
    table = Table.of(held, lengths)
    qkv = 3 * torch.randn(len(lengths), 3, HEADS, width, generator=torch.Generator().manual_seed(1))
    for layer in range(LAYERS):
        found = attend(qkv[:, 0], table, layer=layer)
        expected = [
            defined(query, memory[layer], length)
            for query, memory, length in zip(qkv[:, 0], held, lengths, strict=True)
        ]
        assert (found - torch.stack(expected)).abs().max() < 2e-6


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", WIDTHS)
def test_keys_and_values_are_written_as_the_last_step_and_nothing_else_is(
    width: int, dtype: torch.dtype
) -> None:
    lengths = [1, 7, 200]
    held = memories(width, dtype, lengths)
    before = [memory.clone() for memory in held]
    qkv = torch.randn(len(lengths), 3, HEADS, width, generator=torch.Generator().manual_seed(1))
    remember(qkv, Table.of(held, lengths), layer=1)
    for row, (memory, old, length) in enumerate(zip(held, before, lengths, strict=True)):
        old[1, :, :, length - 1] = qkv[row, 1:].to(dtype)
        assert torch.equal(memory.nan_to_num(7), old.nan_to_num(7))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_query_has_the_same_bits_in_any_company_and_on_any_count_of_threads(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    lengths = [40, 3, 200, 77, 199]
    held = memories(64, dtype, lengths)
    query = torch.randn(len(lengths), HEADS, 64, generator=torch.Generator().manual_seed(1))
    together = attend(query, Table.of(held, lengths), layer=2)
    for row, (memory, length) in enumerate(zip(held, lengths, strict=True)):
        alone = attend(query[row : row + 1], Table.of([memory], [length]), layer=2)
        assert torch.equal(alone[0], together[row])
    monkeypatch.setattr("text2song.model.kernels.team.WORTH_BYTES", 1)
    before = torch.get_num_threads()
    try:
        for threads in (2, 7):
            torch.set_num_threads(threads)
            assert torch.equal(attend(query, Table.of(held, lengths), layer=2), together)
    finally:
        torch.set_num_threads(before)


def test_scores_far_apart_overflow_nothing() -> None:
    (memory,) = memories(16, torch.float32, [50])
    memory[..., :50, :] *= 1e4
    query = torch.full((1, HEADS, 16), 1e4)
    found = attend(query, Table.of([memory], [50]), layer=0)
    expected = defined(query[0], memory[0], 50)
    assert ((found[0] - expected).abs() <= 1e-4 * expected.abs()).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", [1, 16, 50])
def test_numbers_that_are_none_are_not_hidden(dtype: torch.dtype, length: int) -> None:
    """So that a model whose numbers overflow is noticed, wherever it happens."""
    (memory,) = memories(16, dtype, [length])
    query = torch.randn(1, HEADS, 16, generator=torch.Generator().manual_seed(1))
    table = Table.of([memory], [length])
    for spoilt in (torch.nan, torch.inf, -torch.inf):
        for place in {0, length // 2, length - 1}:
            asked = query.clone()
            asked[0, 2, 3] = spoilt
            assert not attend(asked, table, layer=0)[0, 2].isfinite().any()
            kept = memory[0, 1, 2, place].clone()
            memory[0, 1, 2, place] = spoilt
            assert not attend(query, table, layer=0)[0, 2].isfinite().any()
            memory[0, 1, 2, place] = kept
    memory[0, 0, 2, :length] = -torch.inf  # every score is as small as can be, or no number
    assert not attend(query.abs(), table, layer=0)[0, 2].isfinite().any()


def test_memories_and_queries_that_a_loop_would_misread_are_refused() -> None:
    (memory,) = memories(16, torch.float32, [3], steps=8)
    with pytest.raises(ValueError, match="9 steps"):
        Table.of([memory], [9])
    with pytest.raises(ValueError, match="0 steps"):
        Table.of([memory], [0])
    with pytest.raises(ValueError, match="steps of"):
        Table.of([memory, memory.bfloat16()], [3, 3])
    with pytest.raises(ValueError, match="behind each other"):
        Table.of([memory.transpose(3, 4)], [3])
    table = Table.of([memory], [3])
    for wrong in (torch.ones(2, HEADS, 16), torch.ones(1, HEADS + 1, 16), torch.ones(1, HEADS, 8)):
        with pytest.raises(ValueError, match="queries"):
            attend(wrong, table, layer=0)
    with pytest.raises(ValueError, match="float32"):
        attend(torch.ones(1, HEADS, 16, dtype=torch.bfloat16), table, layer=0)
