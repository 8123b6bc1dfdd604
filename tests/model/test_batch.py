"""Rows that enter, are composed, become sound and leave, each by itself."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch

from tests.model.playing import SPEC, takes
from text2song.errors import OutOfMemory
from text2song.model.batch import RowBatch
from text2song.model.musicgen import MusicGen
from text2song.model.protocol import GeneratedTake, RowProgress, RowResult, Stage
from text2song.model.room import Room
from text2song.music.spec import GenerationSpec

LONGER = replace(SPEC, seed=9, duration_seconds=1.0)


@dataclass
class Played:
    """A batch that is played to its end, with what is done before each advance."""

    batch: RowBatch
    before: Callable[[RowBatch], None] = lambda _: None
    results: list[RowResult] = field(default_factory=list)
    seen: list[dict[int, RowProgress]] = field(default_factory=list)

    def play(self, specs: Sequence[GenerationSpec]) -> list[RowResult]:
        for spec in specs:
            self.batch.enter(spec)
        while self.batch.rows:
            self.before(self.batch)
            self.results += self.batch.advance()
            self.seen.append(dict(self.batch.rows))
        return self.results


def same(result: RowResult, take: GeneratedTake) -> bool:
    outcome = result.outcome
    assert isinstance(outcome, GeneratedTake), outcome
    return np.array_equal(outcome.codes, take.codes) and np.array_equal(
        outcome.waveform.pcm, take.waveform.pcm
    )


def test_short_rows_end_while_long_ones_go_on(noise: MusicGen) -> None:
    specs = [replace(SPEC, duration_seconds=d) for d in (1.2, 0.5, 0.8)]
    assert [result.row for result in Played(noise.open_batch()).play(specs)] == [1, 2, 0]


def test_progress_is_told_frame_by_frame_and_stage_by_stage(noise: MusicGen) -> None:
    played = Played(noise.open_batch())
    played.play([SPEC])
    seen = [rows[0] for rows in played.seen if rows]
    composing = [progress.frames for progress in seen if progress.stage is Stage.COMPOSING]
    assert composing == [0, 0, 0, *range(1, 30)]  # the first frame is whole once its last codebook was drawn
    assert [p for p in seen if p.stage is Stage.RENDERING] == [RowProgress(Stage.RENDERING, 30)]
    assert noise.open_batch().rows == {}


def test_one_sentence_is_read_at_an_advance_and_none_of_a_row_that_left(noise: MusicGen) -> None:
    batch = noise.open_batch()
    rows = [batch.enter(replace(SPEC, sentence=f"never read {number}")) for number in range(3)]
    batch.leave(rows[1])
    batch.advance()
    assert [progress.stage for progress in batch.rows.values()] == [Stage.COMPOSING, Stage.ENTERING]
    batch.advance()
    kept = noise._parts.reader._kept
    assert [f"never read {number}" in kept for number in range(3)] == [True, False, True]


@pytest.mark.parametrize("late", [1, 7, 33, 40])
def test_a_row_that_enters_late_is_the_row_that_is_alone(noise: MusicGen, late: int) -> None:
    alone = takes(noise, [SPEC, LONGER])
    batch = noise.open_batch()
    batch.enter(LONGER)
    for _ in range(late):
        batch.advance()
    played = Played(batch)
    played.play([SPEC])
    results = {result.row: result for result in played.results}
    assert same(results[1], alone[0])
    assert same(results[0], alone[1])


@pytest.mark.parametrize(
    "is_time",
    [
        lambda progress: progress.stage is Stage.ENTERING,
        lambda progress: progress.frames == 10,
        lambda progress: progress.stage is Stage.RENDERING,
    ],
    ids=["at once", "midway", "while it becomes sound"],
)
def test_a_row_that_leaves_has_no_result_and_its_siblings_are_unharmed(
    noise: MusicGen, is_time: Callable[[RowProgress], bool]
) -> None:
    specs = [SPEC, replace(SPEC, seed=8), LONGER]
    undisturbed = takes(noise, specs)

    def leave(batch: RowBatch) -> None:
        if 1 in batch.rows and is_time(batch.rows[1]):
            batch.leave(1)

    results = {result.row: result for result in Played(noise.open_batch(), leave).play(specs)}
    assert sorted(results) == [0, 2]
    assert same(results[0], undisturbed[0])
    assert same(results[2], undisturbed[2])


def test_a_row_that_is_not_there_may_leave(noise: MusicGen) -> None:
    batch = noise.open_batch()
    batch.leave(5)
    assert batch.advance() == []


def test_a_batch_that_is_abandoned_or_broken_off_leaves_the_next_one_unharmed(noise: MusicGen) -> None:
    (expected,) = takes(noise, [SPEC])
    abandoned = noise.open_batch()
    abandoned.enter(LONGER)
    for _ in range(5):
        abandoned.advance()

    def break_off(batch: RowBatch) -> None:
        if batch.rows[0].frames == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Played(noise.open_batch(), break_off).play([SPEC])
    assert np.array_equal(takes(noise, [SPEC])[0].codes, expected.codes)


def test_the_caller_is_not_left_in_inference_mode(noise: MusicGen) -> None:
    modes: list[bool] = []
    Played(noise.open_batch(), lambda _: modes.append(torch.is_inference_mode_enabled())).play([SPEC])
    assert not any(modes)


def test_an_error_of_one_row_in_the_middle_is_its_end_alone(
    noise: MusicGen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logits of one row overflow at its tenth step."""
    undisturbed = takes(noise, [LONGER])
    step = noise._parts.decoder.step

    def overflow(columns: list[torch.Tensor], *, tracks: list[object]) -> tuple[torch.Tensor, ...]:
        logits = step(columns, tracks=tracks)  # type: ignore[arg-type]  # whatever they are
        if len(logits) == 2 and tracks[0].step == 10:  # type: ignore[attr-defined]
            logits[0][:] = torch.nan
        return logits

    monkeypatch.setattr(noise._parts.decoder, "step", overflow)
    results = Played(noise.open_batch()).play([SPEC, LONGER])
    assert [result.row for result in results] == [0, 1]
    assert "overflowed" in str(results[0].outcome)
    assert same(results[1], undisturbed[0])


# --- Room ------------------------------------------------------------------------------------------------


def with_room(model: MusicGen, room: Room) -> RowBatch:
    return RowBatch(replace(model._parts, room=room))


def test_room_is_counted_in_rows_and_a_row_that_does_not_fit_is_a_programming_error(noise: MusicGen) -> None:
    batch = with_room(noise, Room(rows=2))
    batch.enter(SPEC)
    assert batch.has_room_for(SPEC)
    batch.enter(SPEC)
    assert not batch.has_room_for(SPEC)
    with pytest.raises(ValueError, match="no room"):
        batch.enter(SPEC)


def test_room_is_counted_in_bytes_of_what_rows_remember(noise: MusicGen) -> None:
    shape = noise._parts.decoder._shape
    steps, tokens = 30 + 3, len(SPEC.sentence) + 1  # 0.6 s of 50 frames a second, and the last offset
    per_step = shape.layers * shape.width * 4  # keys, or values, of one stream
    needed = 2 * 2 * steps * per_step + 2 * tokens * per_step
    batch = with_room(noise, Room(rows=8, budget_bytes=2 * needed))
    batch.enter(SPEC)
    assert batch.has_room_for(SPEC)
    assert not batch.has_room_for(LONGER)
    assert batch.has_room_for(replace(LONGER, sampling=replace(SPEC.sampling, guidance_scale=1.0)))
    track = noise._parts.decoder.open_track(
        noise._parts.reader.encode(SPEC.sentence).states, steps=steps, is_guided=True
    )
    kept = track.memory.nbytes + track.cross.nbytes
    assert kept == needed


def test_a_row_that_exceeds_the_budget_alone_is_tried(noise: MusicGen) -> None:
    batch = with_room(noise, Room(rows=8, budget_bytes=1))
    assert batch.has_room_for(LONGER)
    batch.enter(LONGER)
    assert not batch.has_room_for(SPEC)
    (result,) = Played(batch).play([])
    assert isinstance(result.outcome, GeneratedTake)


def running_out(model: MusicGen, monkeypatch: pytest.MonkeyPatch, *, rows: int) -> None:
    """Memory for so many rows at once and no more."""
    step = model._parts.decoder.step

    def grow(columns: list[torch.Tensor], *, tracks: list[object]) -> tuple[torch.Tensor, ...]:
        if len(tracks) > rows:
            torch.empty(2**50)
        return step(columns, tracks=tracks)  # type: ignore[arg-type]  # whatever they are

    monkeypatch.setattr(model._parts.decoder, "step", grow)


def test_where_memory_runs_out_the_youngest_begin_anew_and_nobody_is_harmed(
    noise: MusicGen, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    specs = [replace(SPEC, seed=seed) for seed in range(4)]
    expected = takes(noise, specs)
    running_out(noise, monkeypatch, rows=2)
    played = Played(with_room(noise, Room(rows=4)))
    with caplog.at_level(logging.WARNING):
        results = played.play(specs)
    assert [result.row for result in results] == [0, 1, 2, 3]
    assert all(same(result, take) for result, take in zip(results, expected, strict=True))
    composing = [sum(p.stage is Stage.COMPOSING for p in rows.values()) for rows in played.seen]
    assert max(composing) == 2
    assert "begins anew" in caplog.text


def test_a_row_that_does_not_fit_alone_is_told_so(noise: MusicGen, monkeypatch: pytest.MonkeyPatch) -> None:
    running_out(noise, monkeypatch, rows=0)
    results = Played(with_room(noise, Room(rows=4))).play([SPEC, SPEC])
    assert [result.row for result in results] == [0, 1]
    assert all(isinstance(result.outcome, OutOfMemory) for result in results)
    assert "fewer or shorter takes" in str(results[0].outcome)


def test_a_row_whose_memory_does_not_fit_beside_the_others_waits_and_alone_is_told_so(
    noise: MusicGen, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_track = noise._parts.decoder.open_track

    def grow(text: torch.Tensor, **sizes: object) -> object:
        if sizes["steps"] == 53:
            torch.empty(2**50)
        return open_track(text, **sizes)  # type: ignore[arg-type]  # whatever they are

    monkeypatch.setattr(noise._parts.decoder, "open_track", grow)
    results = Played(with_room(noise, Room(rows=4))).play([SPEC, LONGER])
    assert [result.row for result in results] == [0, 1]
    assert isinstance(results[0].outcome, GeneratedTake)
    assert isinstance(results[1].outcome, OutOfMemory)


def test_sound_that_does_not_fit_beside_the_others_is_made_after_them(
    noise: MusicGen, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = takes(noise, [SPEC, LONGER])
    batch = with_room(noise, Room(rows=4))
    render = noise._parts.codec.render

    def grow(codes: torch.Tensor) -> object:
        for piece in render(codes):
            if batch._composing:
                torch.empty(2**50)
            yield piece

    monkeypatch.setattr(noise._parts.codec, "render", grow)
    results = {result.row: result for result in Played(batch).play([SPEC, LONGER])}
    assert same(results[0], expected[0])
    assert same(results[1], expected[1])


def test_sound_that_does_not_fit_alone_is_told_so(noise: MusicGen, monkeypatch: pytest.MonkeyPatch) -> None:
    def grow(_: torch.Tensor) -> object:
        yield torch.empty(2**50)

    monkeypatch.setattr(noise._parts.codec, "render", grow)
    (result,) = Played(with_room(noise, Room(rows=4))).play([SPEC])
    assert isinstance(result.outcome, OutOfMemory)
