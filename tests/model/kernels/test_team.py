"""That every unit is done once, by whoever, and that nothing is lost of what goes wrong."""

import threading
from collections.abc import Iterator

import pytest
import torch

from text2song.model.kernels import team
from text2song.model.kernels.team import WORTH_BYTES, share


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("units", [0, 1, 3, 4, 5, 100])
@pytest.mark.parametrize("unit_bytes", [1, WORTH_BYTES // 3, WORTH_BYTES])
def test_every_unit_is_done_once(units: int, unit_bytes: int) -> None:
    done: list[int] = []
    share(lambda first, end: done.extend(range(first, end)), units=units, unit_bytes=unit_bytes)
    assert sorted(done) == list(range(units))


@pytest.mark.usefixtures("threads")
def test_little_work_stays_with_who_brought_it() -> None:
    workers = []
    share(lambda *_: workers.append(threading.current_thread()), units=64, unit_bytes=WORTH_BYTES // 64)
    assert workers == [threading.current_thread()]


@pytest.mark.usefixtures("threads")
def test_much_work_is_done_at_the_same_time() -> None:
    everyone = threading.Barrier(4, timeout=10)

    def part(_first: int, _end: int) -> None:
        everyone.wait()

    share(part, units=4, unit_bytes=WORTH_BYTES)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("place", [0, 3])
def test_what_a_part_raises_is_raised_when_all_parts_are_done(place: int) -> None:
    done = []

    def part(first: int, _end: int) -> None:
        done.append(first)
        if first == place:
            raise RuntimeError("this part")

    with pytest.raises(RuntimeError, match="this part"):
        share(part, units=4, unit_bytes=WORTH_BYTES)
    assert sorted(done) == [0, 1, 2, 3]


@pytest.mark.usefixtures("threads")
def test_two_who_share_at_the_same_time_do_not_meet() -> None:
    sums = [0, 0]

    def work(mine: int) -> None:
        for _ in range(200):
            share(lambda first, end: add(mine, end - first), units=8, unit_bytes=WORTH_BYTES)

    lock = threading.Lock()

    def add(mine: int, count: int) -> None:
        with lock:
            sums[mine] += count

    both = [threading.Thread(target=work, args=(mine,)) for mine in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join(30)
    assert sums == [1600, 1600]
    assert team._pool() is team._pool()
