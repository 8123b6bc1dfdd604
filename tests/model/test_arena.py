"""Recorded steps beside the steps of every other device: the same rows, by other ways.

What is recorded is run again here instead of replayed by CUDA: everything but the recording itself.

Legend: G streams of a row, K codebooks, V codes.
"""

import gc
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.model.adapters import random_factors
from tests.model.holding import drawn
from text2song.model import arena as under_test
from text2song.model.arena import Arena, CudaRecordings, Recorder, at_least
from text2song.model.decoder import Decoder, module_shapes
from text2song.model.lora import lay_out
from text2song.model.precision import ORACLE
from text2song.model.shapes import DecoderShape
from text2song.model.track import Track

SHAPE = DecoderShape(
    layers=2, width=32, heads=4, ffn_width=64, codebooks=4, channels=1, codebook_size=24, positions=64
)
ROWS, STEPS, TOKENS = 4, 40, 9


class Both:
    """The same rows in a decoder with an arena and in one without."""

    def __init__(self) -> None:
        self.recorded = 0
        self.plain = Decoder(SHAPE, read=drawn(), precision=ORACLE)
        self.in_arena = Decoder(SHAPE, read=drawn(), precision=ORACLE)
        self.in_arena.record_steps(rows=ROWS, steps=STEPS, tokens=TOKENS, record=self._record)

    def _record(self, run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        self.recorded += 1
        run()  # as a recording does: what it leaves behind must not matter
        return run

    def open(self, seed: int, *, is_guided: bool = True, tokens: int = 5, **options: object) -> list[Track]:
        text = torch.randn(tokens, SHAPE.width, generator=torch.Generator().manual_seed(seed))
        return [
            decoder.open_track(text, steps=STEPS, is_guided=is_guided, **options)  # type: ignore[arg-type]
            for decoder in (self.plain, self.in_arena)
        ]

    def step(self, rows: list[list[Track]], columns: list[Tensor] | None = None) -> None:
        """One step of each, which must have the same logits and lead to the same place."""
        columns = columns or [torch.randint(0, 24, (1, 4)) for _ in rows]
        expected, found = (
            decoder.step(columns, tracks=[row[side] for row in rows])
            for side, decoder in enumerate((self.plain, self.in_arena))
        )
        for mine, theirs, row in zip(found, expected, rows, strict=True):
            assert mine.shape == theirs.shape == (row[0].streams, 4, 24)
            assert (mine - theirs).abs().max() < 1e-5
            assert row[0].step == row[1].step


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> Both:
    monkeypatch.setattr(under_test, "FEWEST_STEPS", 8)
    torch.manual_seed(3)
    return Both()


def is_in(decoder: Decoder, track: Track) -> bool:
    assert decoder._arena is not None
    return decoder._arena.slots_of([track]) is not None


def test_rows_that_enter_and_leave_have_the_logits_of_every_other_device(both: Both) -> None:
    rows = [both.open(1, tokens=3), both.open(2, is_guided=False, tokens=TOKENS)]
    for now in range(STEPS - 1):
        if now == 3:
            rows.append(both.open(3, tokens=1))
        if now == 11:
            del rows[0]  # its slot is empty, and stepped with the others
        if now == 14:
            rows += [both.open(4), both.open(5, is_guided=False)]
        both.step([row for row in rows if row[0].step < STEPS - 1])
    assert all(is_in(both.in_arena, row[1]) for row in rows)
    assert both.recorded == len({(2, 8), (4, 8), (4, 16), (4, 32), (4, 40)})


def test_a_row_that_begins_anew_in_a_used_slot_reads_nothing_of_the_last_one(both: Both) -> None:
    first = both.open(1)
    for _ in range(20):
        both.step([first])
    del first
    gc.collect()
    arena = both.in_arena._arena
    assert arena is not None
    arena.memory.fill_(torch.nan)  # its numbers had overflowed
    arena.cross.fill_(torch.nan)
    second = both.open(2, tokens=1)
    for _ in range(3):
        both.step([second])


def test_known_columns_and_adapters_go_the_other_way_and_leave_what_a_recording_needs(both: Both) -> None:
    factors = random_factors(module_shapes(SHAPE), rank=2, seed=1)
    updates = lay_out(factors, layers=SHAPE.layers, precision=ORACLE)
    row, adapted = both.open(1), both.open(2, updates=updates)
    both.step([row], [torch.randint(0, 24, (9, 4))])
    assert both.recorded == 0
    both.step([row])
    assert both.recorded == 1
    both.step([row, adapted])
    both.step([adapted])
    assert both.recorded == 1
    both.step([row])


def test_who_does_not_fit_has_a_memory_of_its_own(both: Both) -> None:
    wordy = both.open(1, tokens=TOKENS + 1)
    rows = [both.open(seed) for seed in range(2, 2 + ROWS)]
    late = both.open(9)
    assert [is_in(both.in_arena, row[1]) for row in (wordy, *rows, late)] == [False, *[True] * ROWS, False]
    both.step([wordy, *rows, late])
    assert both.recorded == 0
    both.step(rows)
    assert both.recorded == 1


def test_a_row_that_is_not_in_a_step_stays_as_it_is(both: Both) -> None:
    first, second = both.open(1), both.open(2)
    both.step([first], [torch.randint(0, 24, (3, 4))])
    both.step([second])
    assert both.recorded == 0  # a recording of both slots would have moved the first one's memory
    both.step([first])
    both.step([first, second])
    assert both.recorded == 1 + 1


def test_a_slot_is_free_once_nobody_has_its_row() -> None:
    arena = Arena(SHAPE, rows=2, steps=4, tokens=3, dtype=torch.float32, device=torch.device("cpu"))

    def open_track() -> Track | None:
        return arena.open_track(steps=4, tokens=3, streams=1)

    first, second = open_track(), open_track()
    assert first is not None
    assert second is not None
    assert arena.slots_of([second, first]) == [1, 0]
    assert open_track() is None
    del first
    gc.collect()
    third = open_track()
    assert third is not None
    assert arena.slots_of([third]) == [0]
    assert arena.open_track(steps=5, tokens=3, streams=1) is None


def test_a_recorder_takes_no_rows_from_elsewhere() -> None:
    arena = Arena(SHAPE, rows=2, steps=4, tokens=3, dtype=torch.float32, device=torch.device("cpu"))
    recorder = Recorder(arena, forward=lambda *_: torch.empty(0), record=lambda run: run, codebooks=4)
    stranger = Track(memory=torch.empty(1, 2, 1, 1, 1, 1), cross=torch.empty(1, 2, 1, 1, 1), updates=None)
    assert recorder.step([torch.zeros(1, 4)], tracks=[stranger]) is None


@pytest.mark.parametrize(("number", "size"), [(1, 1), (2, 2), (3, 4), (5, 6), (6, 6)])
def test_sizes_double_up_to_the_largest(number: int, size: int) -> None:
    assert at_least(number, first=1, most=6) == size


@pytest.mark.gpu
def test_a_recording_does_again_what_was_done_with_what_is_there_now() -> None:
    numbers = torch.ones(3, device="cuda")
    replay = CudaRecordings(torch.device("cuda", 0))(lambda: numbers * 2)
    numbers.fill_(5)
    assert replay().tolist() == [10, 10, 10]
