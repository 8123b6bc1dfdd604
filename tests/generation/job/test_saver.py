import threading
from collections.abc import Callable

import pytest

from tests.jobs.workshop import names_of_threads
from text2song.generation.job.saver import Saver


def test_things_are_done_in_order_in_another_thread_and_told_in_ours() -> None:
    done: list[tuple[int, str]] = []
    told: list[tuple[int, str]] = []

    def task(number: int) -> Callable[[], int]:
        def do() -> int:
            done.append((number, threading.current_thread().name))
            return number

        return do

    with Saver() as saver:
        for number in range(5):
            saver.put(task(number), lambda n: told.append((n, threading.current_thread().name)))
        assert saver.backlog == 5
        saver.finish()
        assert saver.backlog == 0
    here = threading.current_thread().name
    assert done == [(number, "saver") for number in range(5)]
    assert told == [(number, here) for number in range(5)]
    assert "saver" not in names_of_threads()


def test_who_asks_never_waits_for_what_is_done() -> None:
    may_end = threading.Event()
    told: list[bool] = []
    with Saver() as saver:
        saver.put(lambda: may_end.wait(20), told.append)
        saver.put(lambda: True, told.append)
        saver.collect()
        assert (told, saver.backlog) == ([], 2)
        may_end.set()
        saver.finish()
    assert told == [True, True]


def test_to_wait_for_nothing_ends_by_itself() -> None:
    with Saver() as saver:
        saver.collect(wait_seconds=0.01)
        saver.finish()


def test_what_the_telling_asks_for_is_done_before_the_end() -> None:
    told: list[str] = []
    with Saver() as saver:
        saver.put(lambda: "first", lambda word: saver.put(lambda: f"{word}, then this", told.append))
        saver.finish()
    assert told == ["first, then this"]


def test_an_error_is_raised_where_results_are_told_and_the_others_are_done() -> None:
    told: list[int] = []

    def fails() -> int:
        raise ZeroDivisionError("by nothing")

    with Saver() as saver:
        saver.put(lambda: 1, told.append)
        saver.put(fails, told.append)
        saver.put(lambda: 3, told.append)
        with pytest.raises(ZeroDivisionError):
            saver.finish()
        assert (told, saver.backlog) == ([1, 3], 0)


def test_whatever_was_asked_for_is_done_where_the_work_breaks_down() -> None:
    done: list[int] = []

    def break_down() -> None:
        with Saver() as saver:
            for number in range(3):
                saver.put(lambda number=number: done.append(number), lambda _: None)  # type: ignore[misc]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_down()
    assert done == [0, 1, 2]
