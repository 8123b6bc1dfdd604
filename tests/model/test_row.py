"""A row's codes, window by window, from logits that a script gives."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
import torch

from tests.model.playing import SPEC
from text2song.model.longform import Window, windows_for
from text2song.model.row import RECALLED_COLUMNS, Row
from text2song.model.sampling import chances, draw, generator_for
from text2song.model.track import Track
from text2song.music.sampling import SamplingParams
from text2song.music.spec import GenerationSpec

CODES = 64
"""V; the special token comes after them."""


def spec(*, seed: int = 7) -> GenerationSpec:
    return GenerationSpec(SPEC.sentence, seed=seed, duration_seconds=1.0, sampling=SamplingParams(top_k=0))


def track() -> Track:
    return Track(memory=torch.empty(1, 2, 1, 1, 1, 1), cross=torch.empty(1, 2, 1, 1, 1), updates=None)


@dataclass
class Scripted:
    """Plays a row with logits [1, K, V] that depend on how many columns were drawn before."""

    row: Row
    codebooks: int
    read: list[torch.Tensor]
    """What the decoder was given, step by step."""

    @classmethod
    def play(cls, windows: tuple[Window, ...], offsets: tuple[int, ...]) -> "Scripted":
        row = Row(spec(), track=track(), windows=windows, offsets=offsets, special=CODES)
        made = cls(row, len(offsets), [])
        drawn = 0
        while not row.is_composed:
            columns = row.columns
            made.read.append(columns)
            before = row.track.step
            row.track.step += len(columns)
            answer(row, logits_of(drawn, codebooks=made.codebooks))
            drawn += before + len(columns) > row_kept(windows, made.read)
        return made


def answer(row: Row, logits: torch.Tensor) -> None:
    """What a batch does after a step."""
    if row.is_to_draw:
        row.accept(draw(logits, params=row.spec.sampling, chances=row.chances()))


def row_kept(windows: tuple[Window, ...], read: list[torch.Tensor]) -> int:
    """What the window kept that the last read column is of: windows begin with the special token alone."""
    begun = sum(bool((columns[0] == CODES).all()) for columns in read)
    return windows[begun - 1].kept


def logits_of(drawn: int, *, codebooks: int) -> torch.Tensor:
    return torch.randn(codebooks, CODES, generator=torch.Generator().manual_seed(drawn))


def slow_reference(windows: tuple[Window, ...], offsets: tuple[int, ...]) -> torch.Tensor:
    """The codes by the definition: a table of places, filled column by column wherever nothing is known."""
    generator, drawn = generator_for(spec().seed), 0
    codes = torch.full((len(offsets), windows[-1].end), -1)
    for window in windows:
        for column in range(window.kept + 1, window.frames + max(offsets) + 1):
            decide = chances(generator, codebooks=len(offsets), codes=CODES)
            chosen = draw(logits_of(drawn, codebooks=len(offsets)), params=spec().sampling, chances=decide)
            drawn += 1
            for k, offset in enumerate(offsets):
                frame = column - 1 - offset
                if window.kept <= frame < window.frames:
                    assert codes[k, window.start + frame] == -1
                    codes[k, window.start + frame] = chosen[k]
    assert (codes >= 0).all()
    return codes


@pytest.mark.parametrize("offsets", [(0, 1, 2, 3), (0, 0, 1, 1)], ids=["mono", "stereo"])
@pytest.mark.parametrize(
    ("frames", "window", "kept"),
    [(1, 30, 12), (30, 30, 12), (31, 30, 12), (48, 30, 12), (110, 30, 12), (200, 100, 70), (35, 20, 0)],
)
def test_every_code_is_drawn_once_where_the_pattern_says(
    offsets: tuple[int, ...], frames: int, window: int, kept: int
) -> None:
    windows = windows_for(frames, window_frames=window, kept_frames=kept)
    played = Scripted.play(windows, offsets)
    assert torch.equal(played.row.codes, slow_reference(windows, offsets))
    assert played.row.frames_done == frames


def test_a_window_begins_with_what_is_known_some_columns_at_a_time() -> None:
    offsets = (0, 1, 2, 3)
    windows = windows_for(200, window_frames=150, kept_frames=100)
    played = Scripted.play(windows, offsets)
    second = played.read[150 + 3 :]
    sizes = [len(columns) for columns in second]
    assert sizes[:5] == [RECALLED_COLUMNS] * 3 + [100 - 3 * RECALLED_COLUMNS, 1]
    known = torch.cat(second)[:101]  # [S, K]
    assert (known[0] == CODES).all()
    for k, offset in enumerate(offsets):
        assert torch.equal(known[1 + offset :, k], played.row.codes[k, 50 : 150 - offset])


def test_chances_that_are_drawn_ahead_are_the_same() -> None:
    windows = windows_for(50, window_frames=30, kept_frames=12)
    with ThreadPoolExecutor(2) as ahead:
        rows = [
            Row(spec(), track=track(), windows=windows, offsets=(0, 1), special=CODES, ahead=helper)
            for helper in (None, ahead)
        ]
        for _ in range(5):
            ours, theirs = (row.chances() for row in rows)
            assert torch.equal(ours, theirs)


def test_frames_done_only_grow() -> None:
    windows = windows_for(110, window_frames=30, kept_frames=12)
    row = Row(spec(), track=track(), windows=windows, offsets=(0, 1, 2, 3), special=CODES)
    told = []
    while not row.is_composed:
        row.track.step += len(row.columns)
        answer(row, logits_of(0, codebooks=4))
        told.append(row.frames_done)
    assert told == sorted(told)
    assert told[-1] == 110
