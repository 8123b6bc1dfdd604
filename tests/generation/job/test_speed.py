from dataclasses import dataclass

import pytest

from text2song.generation.job import speed as speed_module
from text2song.generation.job.speed import MEMORY, Speed


@dataclass
class Watch:
    """The clock that work is measured with, in place of the module `time`."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    watch = Watch()
    monkeypatch.setattr(speed_module, "time", watch)
    return watch


def test_a_full_batch_that_begins_and_ends_together_is_measured_as_one(watch: Watch) -> None:
    speed = Speed(takes=4)
    for _ in range(4):
        speed.begin()
    watch.now += 20.0
    for ended in range(4):
        assert (speed.measured is None) == (ended < 4)
        speed.end(10.0)
    assert speed.measured == 4 * 10.0 / 20.0


def test_rows_that_come_and_go_are_measured_over_as_many_as_a_full_batch_has(watch: Watch) -> None:
    speed = Speed(takes=4)
    speed.begin()
    for _ in range(400):  # one of four ends every five seconds: two seconds of audio in each
        watch.now += 5.0
        speed.end(10.0)
        speed.begin()
    assert speed.measured == pytest.approx(2.0)


def test_time_without_a_row_is_no_work(watch: Watch) -> None:
    speed = Speed(takes=4)
    for _ in range(3):
        speed.begin()
        watch.now += 5.0
        speed.end(10.0)
        speed.rest()
        watch.now += 1000.0
        speed.rest()
    assert speed.measured == pytest.approx(2.0)


def test_a_new_measurement_moves_the_estimate_by_a_part(watch: Watch) -> None:
    speed = Speed(takes=1)
    for seconds in (10.0, 20.0):
        speed.begin()
        watch.now += 10.0
        speed.end(seconds)
        speed.rest()
    assert speed.measured == pytest.approx(MEMORY * 1.0 + (1 - MEMORY) * 2.0)


def test_what_fails_is_no_audio_and_only_failures_are_no_measurement(watch: Watch) -> None:
    speed = Speed(takes=2)
    speed.begin()
    watch.now += 10.0
    speed.end(0.0)
    speed.end(0.0)
    assert speed.measured is None
    watch.now += 10.0
    speed.end(0.0)
    speed.end(10.0)
    assert speed.measured == 1.0
