"""What is the thread queue's own; what it shares with other queues is in tests/contracts."""

import threading

from structlog.testing import capture_logs

from tests.jobs.workshop import Workshop, names_of_threads, submit, wait_until
from text2song.errors import StorageFailed
from text2song.generation.tables import KIND
from text2song.jobs.threads import ThreadQueue
from text2song.studio import Studio


def test_its_threads_have_names_and_end_with_it(studio: Studio) -> None:
    queue, runner = ThreadQueue(), Workshop(studio).runner()
    queue.start(runner, sweep_seconds=60)
    assert {f"{KIND} worker", "sweep"} <= names_of_threads()
    queue.stop(runner)
    assert not {f"{KIND} worker", "sweep"} & names_of_threads()


def test_its_rounds_come_with_every_sweep_and_one_that_fails_does_not_end_them(studio: Studio) -> None:
    rounds: list[str] = []

    def fails() -> None:
        rounds.append("fails")
        raise ZeroDivisionError("by nothing")

    queue, runner = ThreadQueue(), Workshop(studio).runner()
    with capture_logs() as lines:
        queue.start(runner, sweep_seconds=0.01, rounds=(fails, lambda: rounds.append("works")))
        wait_until(lambda: rounds.count("works") >= 3)
        queue.stop(runner)
    assert rounds[:4] == ["fails", "works"] * 2
    assert ("background work failed", "by nothing") in {(line["event"], line.get("error")) for line in lines}


def test_what_is_away_for_a_while_is_told_in_a_line_and_a_fault_of_ours_with_its_place(
    studio: Studio,
) -> None:
    rounds: list[type[Exception]] = []

    def fails() -> None:
        rounds.append(StorageFailed if len(rounds) % 2 else ZeroDivisionError)
        raise rounds[-1]("as it is")

    queue, runner = ThreadQueue(), Workshop(studio).runner()
    with capture_logs() as lines:
        queue.start(runner, sweep_seconds=0.01, rounds=(fails,))
        wait_until(lambda: len(rounds) >= 3)
        queue.stop(runner)
    told = [(line["log_level"], line.get("code"), line.get("exc_info")) for line in lines]
    assert told[:2] == [("error", None, True), ("warning", "storage_failed", None)]


def test_a_worker_that_does_not_end_in_time_is_left_and_told(studio: Studio) -> None:
    may_end = threading.Event()

    def hang(*_: object) -> None:
        may_end.wait(20)

    shop = Workshop(studio, hang)
    submit(studio, {})
    queue, runner = ThreadQueue(), shop.runner()
    queue.start(runner, sweep_seconds=60)
    wait_until(lambda: bool(shop.batches))
    with capture_logs() as lines:
        # long enough for the sweep's thread on a busy machine: only the one that hangs may be told
        queue.stop(runner, timeout_seconds=2)
    assert [line["thread"] for line in lines if line["event"] == "thread did not end in time"] == [
        f"{KIND} worker"
    ]
    may_end.set()
    wait_until(lambda: f"{KIND} worker" not in names_of_threads())
