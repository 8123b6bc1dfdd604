import random
import uuid
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from text2song.audio.service import Origin
from text2song.generation.job.attempt import Row
from text2song.generation.job.line import LOOK_AHEAD, Line
from text2song.jobs.lifecycle import Claim
from text2song.music.spec import GenerationSpec


def row(seconds: float, *, claim: Claim | None = None) -> Row:
    spec = GenerationSpec("a walk", seed=0, duration_seconds=seconds)
    origin = Origin(
        prompt_id=uuid.uuid4(), adapter_id=None, user_id=None, model="m", spec=spec, provenance={}
    )
    return Row(claim or Claim(uuid.uuid4(), uuid.uuid4()), uuid.uuid4(), spec, origin)


def up_to(seconds: float) -> Callable[[GenerationSpec], bool]:
    return lambda spec: spec.duration_seconds <= seconds


def test_what_fits_enters_in_the_order_of_the_turns() -> None:
    line, rows = Line(), [row(1) for _ in range(3)]
    for each in rows:
        line.add(each)
    assert [line.take(up_to(30)) for _ in range(4)] == [*rows, None]
    assert line.is_open


def test_a_row_that_does_not_fit_is_passed_four_times_and_then_all_wait_for_it() -> None:
    line, long = Line(), row(20)
    line.add(long)
    for _ in range(LOOK_AHEAD):
        assert line.is_open
        small = row(1)
        line.add(small)
        assert line.take(up_to(10)) is small
    assert not line.is_open
    line.add(row(1))
    assert line.take(up_to(10)) is None
    assert line.take(up_to(20)) is long
    assert line.is_open
    assert line.take(up_to(10)) is not None


def test_no_more_rows_are_drawn_than_may_pass_one() -> None:
    line = Line()
    for _ in range(LOOK_AHEAD):
        assert line.is_open
        line.add(row(20))
    assert not line.is_open


def test_the_rows_of_a_job_that_is_lost_go_and_nobody_waits_for_them() -> None:
    line, lost, stays = Line(), row(20), row(1)
    line.add(lost)
    line.add(row(20, claim=lost.claim))
    line.add(stays)
    assert line.drop(lost.claim) == 2
    assert line.drop(lost.claim) == 0
    assert line.take(up_to(1)) is stays


@settings(max_examples=100, deadline=None)
@given(chance=st.randoms(use_true_random=False), spare=st.integers(1, 30))
def test_whatever_comes_nobody_is_passed_more_often_than_four_times(
    chance: random.Random, spare: int
) -> None:
    """Against the rule said aloud: each row notes who came later and entered before it."""
    line, waiting = Line(), list[Row]()
    passed: dict[uuid.UUID, int] = {}
    for _ in range(200):
        if line.is_open and chance.random() < 0.6:
            waiting.append(row(chance.choice([1, 5, 20, 30])))
            line.add(waiting[-1])
            passed[waiting[-1].take_id] = 0
        room = spare if chance.random() < 0.9 else 30
        entered = line.take(up_to(room))
        if entered is None:
            fitting = [each for each in waiting if each.spec.duration_seconds <= room]
            if fitting:  # it waits for one who was passed often enough
                ahead = waiting[: waiting.index(fitting[0])]
                assert any(passed[each.take_id] == LOOK_AHEAD for each in ahead)
            continue
        for each in waiting[: waiting.index(entered)]:
            passed[each.take_id] += 1
        waiting.remove(entered)
        assert max(passed.values()) <= LOOK_AHEAD
