import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from structlog.testing import capture_logs

from tests.jobs.workshop import PACE, Workshop, finish_all, jobs_of, statuses, submit, wait_until
from tests.rows import MODEL
from tests.studios import Clock, ListeningQueue
from text2song.errors import DatabaseBusy, InvalidInput
from text2song.generation.tables import KIND, GenerationJob
from text2song.jobs import lifecycle
from text2song.jobs.lifecycle import Claim
from text2song.jobs.runner import Runner
from text2song.jobs.shift import Pace, Shift
from text2song.studio import Studio, Work


def fails_with(error: Exception) -> Callable[..., None]:
    def act(*_: object) -> None:
        raise error

    return act


def until_stopped(shop: Workshop, claims: Sequence[Claim], shift: Shift) -> None:
    """Finish the first job, and work on the others until told to stop."""
    finish_all(shop, claims[:1], shift)
    wait_until(shift.is_stopping)


def test_it_claims_until_nothing_waits_and_does_not_ring(studio: Studio, bells: ListeningQueue) -> None:
    submit(studio, *[{}] * 20)
    shop = Workshop(studio)
    shop.runner(queue=bells).run(KIND)
    assert [len(batch) for batch in shop.batches] == [8, 8, 4]
    assert statuses(studio) == ["succeeded"] * 20
    assert bells.rung == []


def test_jobs_are_taken_up_in_the_order_of_the_queue_however_many_rows_they_have(studio: Studio) -> None:
    ids = submit(studio, *({"rows": count} for count in (3, 12, 1, 64, 1)))
    shop = Workshop(studio, capacity=2)
    shop.runner().run(KIND)
    assert shop.batches == [ids[:2], ids[2:4], ids[4:]]


def test_work_that_comes_while_it_works_is_done_too(studio: Studio) -> None:
    submit(studio, {})

    def act(shop: Workshop, claims: Sequence[Claim], shift: Shift) -> None:
        if len(shop.batches) == 1:
            submit(studio, {})
        finish_all(shop, claims, shift)

    shop = Workshop(studio, act)
    shop.runner().run(KIND)
    assert statuses(studio) == ["succeeded"] * 2
    assert len(shop.batches) == 2


def test_jobs_that_it_cannot_do_are_left(studio: Studio) -> None:
    submit(studio, {"model": "another/model", "priority": 10}, {})
    shop = Workshop(studio, where=GenerationJob.model == MODEL)
    shop.runner().run(KIND)
    assert statuses(studio) == ["queued", "succeeded"]


def slow(shop: Workshop, claims: Sequence[Claim], shift: Shift) -> None:
    """Longer than the slices of these tests."""
    finish_all(shop, claims, shift)
    time.sleep(0.06)


SHORT = Pace(15.0, 0.02, slice_seconds=0.05)
OTHER = "export"


def test_no_slice_ends_where_no_other_work_waits_for_the_thread(
    studio: Studio, bells: ListeningQueue
) -> None:
    submit(studio, *[{}] * 5)
    shop, other = Workshop(studio, slow, capacity=1), Workshop(studio, where=GenerationJob.model == "another")
    runner = shop.runner(queue=bells, pace=SHORT, others={OTHER: other})
    runner.run(KIND, beside=runner.kinds)
    assert statuses(studio) == ["succeeded"] * 5
    submit(studio, *[{}] * 2, {"model": "another"})  # the other kind waits, but it has a thread of its own
    shop.where = GenerationJob.model == MODEL
    runner.run(KIND)
    assert statuses(studio) == ["succeeded"] * 7 + ["queued"]
    assert bells.rung == []


def test_at_the_end_of_its_slice_it_rings_for_the_rest_and_another_kind_has_the_thread(
    studio: Studio, bells: ListeningQueue
) -> None:
    submit(studio, *[{}] * 3, {"model": "another"})
    shop = Workshop(studio, slow, capacity=1, where=GenerationJob.model == MODEL)
    other = Workshop(studio, where=GenerationJob.model == "another")
    runner = shop.runner(queue=bells, pace=SHORT, others={OTHER: other})
    runner.run(KIND, beside=runner.kinds)
    assert (len(shop.batches), bells.rung) == (1, [KIND])
    runner.run(KIND, beside=runner.kinds)
    assert (len(shop.batches), bells.rung) == (2, [KIND] * 2)
    assert runner.run(OTHER, beside=runner.kinds)
    assert statuses(studio) == ["succeeded", "succeeded", "queued", "succeeded"]
    runner.run(KIND, beside=runner.kinds)
    assert (statuses(studio), bells.rung) == (["succeeded"] * 4, [KIND] * 2)


def test_a_shift_that_another_kind_waits_for_begins_no_rows_of_what_it_holds(studio: Studio) -> None:
    large, _ = submit(studio, {"rows": 5}, {"model": "another"})
    begun: list[Claim | None] = []

    def act(_shop: Workshop, claims: Sequence[Claim], shift: Shift) -> None:
        begun.append(shift.next_turn(claims))
        time.sleep(0.06)
        begun.append(shift.next_turn(claims))
        assert shift.is_closing()
        assert not shift.is_stopping()

    shop = Workshop(studio, act, capacity=1, where=GenerationJob.model == MODEL)
    other = Workshop(studio, where=GenerationJob.model == "another")
    runner = shop.runner(pace=SHORT, others={OTHER: other})
    runner.run(KIND, beside=runner.kinds)
    assert [claim and claim.job_id for claim in begun] == [large, None]
    [job, _] = jobs_of(studio)
    assert (job.status, job.attempts, job.rows_begun) == ("queued", 0, 0)
    assert job.claimed_at is not None  # its user was served


def test_what_a_handler_leaves_in_hand_waits_again_and_is_not_taken_up_at_once(studio: Studio) -> None:
    submit(studio, *[{}] * 2)
    shop = Workshop(studio, lambda *_: None)
    assert shop.runner().run(KIND)
    assert len(shop.batches) == 1
    assert [(job.status, job.attempts, job.claim_token) for job in jobs_of(studio)] == [
        ("queued", 0, None)
    ] * 2


def test_an_error_that_will_not_pass_fails_every_job_of_the_batch(studio: Studio) -> None:
    submit(studio, *[{}] * 2)
    shop = Workshop(studio, fails_with(InvalidInput("this cannot be")))
    with capture_logs() as lines:
        shop.runner().run(KIND)
    assert [(job.status, job.error_code, job.error_message) for job in jobs_of(studio)] == [
        ("failed", "invalid_input", "this cannot be")
    ] * 2
    assert {line["log_level"] for line in lines} == {"warning"}


def test_an_error_that_may_pass_lets_the_jobs_wait(studio: Studio, clock: Clock) -> None:
    submit(studio, {})
    shop = Workshop(studio, fails_with(DatabaseBusy("locked")))
    shop.runner().run(KIND)  # ends, since the job must wait
    [job] = jobs_of(studio)
    assert (job.status, job.failures) == ("queued", 1)
    assert job.not_before == clock() + dt.timedelta(seconds=2)


def test_an_unforeseen_error_is_logged_whole_and_tried_three_times(studio: Studio, clock: Clock) -> None:
    submit(studio, {})
    shop = Workshop(studio, fails_with(ZeroDivisionError("by nothing")))
    runner = shop.runner()
    with capture_logs() as lines:
        for _ in range(5):
            runner.run(KIND)
            clock.advance(10)
    [job] = jobs_of(studio)
    assert (len(shop.batches), job.status, job.attempts) == (3, "failed", 3)
    assert job.error_code == "unexpected_failure"
    assert job.error_message is not None
    assert job.error_message.startswith(
        "the worker met an unexpected ZeroDivisionError (by nothing). Its log"
    )
    assert [(line["log_level"], type(line["exc_info"])) for line in lines] == [
        ("error", ZeroDivisionError)
    ] * 3


def test_what_was_finished_before_an_error_stays_finished(studio: Studio) -> None:
    submit(studio, *[{}] * 3)

    def act(shop: Workshop, claims: Sequence[Claim], shift: Shift) -> None:
        finish_all(shop, claims[:1], shift)
        raise InvalidInput("the second of them")

    Workshop(studio, act).runner().run(KIND)
    assert statuses(studio) == ["succeeded", "failed", "failed"]


def test_stopping_hands_back_what_runs_and_nothing_is_lost(studio: Studio) -> None:
    submit(studio, *[{}] * 10)
    shop = Workshop(studio, until_stopped)
    runner = shop.runner()
    thread = threading.Thread(target=runner.run, args=(KIND,))
    thread.start()
    wait_until(lambda: bool(shop.batches))
    runner.stop()
    thread.join(20)
    assert not thread.is_alive()
    jobs = jobs_of(studio)
    assert [job.status for job in jobs] == ["succeeded", *["queued"] * 9]
    assert [job.attempts for job in jobs] == [1, *[0] * 9]
    assert {job.claim_token for job in jobs} == {None}
    runner.run(KIND)  # it stays stopped
    assert len(shop.batches) == 1
    Workshop(studio).runner().run(KIND)  # and another goes on at once
    assert statuses(studio) == ["succeeded"] * 10


def test_leases_are_kept_while_the_work_is_busy(studio: Studio) -> None:
    submit(studio, {})
    seen: list[dt.datetime | None] = []

    def act(shop: Workshop, claims: Sequence[Claim], shift: Shift) -> None:
        advance = dt.timedelta(seconds=10)
        for _ in range(3):
            before = jobs_of(studio)[0].lease_expires_at
            assert before is not None
            wall.now += advance
            wait_until(lambda: (jobs_of(studio)[0].lease_expires_at or before) > before)  # noqa: B023  # at once
            seen.append(jobs_of(studio)[0].lease_expires_at)
        finish_all(shop, claims, shift)

    assert isinstance(studio.clock, Clock)
    wall = studio.clock
    start = wall.now
    Workshop(studio, act).runner().run(KIND)
    assert seen == [start + dt.timedelta(seconds=seconds) for seconds in (25, 35, 45)]


def test_a_cancelled_job_is_lost_to_the_handler_and_its_sibling_is_not(studio: Studio) -> None:
    cancelled, kept = submit(studio, *[{}] * 2)

    def act(shop: Workshop, claims: Sequence[Claim], shift: Shift) -> None:
        with studio.work() as work:
            lifecycle.cancel(work.session, GenerationJob, cancelled, now=work.clock())
        wait_until(lambda: shift.is_lost(claims[0]))
        assert not shift.is_lost(claims[1])
        assert claims[1].job_id == kept
        finish_all(shop, claims[1:], shift)

    Workshop(studio, act).runner().run(KIND)
    assert statuses(studio) == ["cancelled", "succeeded"]


def test_no_transaction_is_open_while_the_handler_works(studio: Studio) -> None:
    submit(studio, {})

    def act(shop: Workshop, claims: Sequence[Claim], shift: Shift) -> None:
        with studio.work() as work:  # would wait for five seconds, and fail
            work.session.connection()
        finish_all(shop, claims, shift)

    Workshop(studio, act).runner().run(KIND)
    assert statuses(studio) == ["succeeded"]


def test_a_sweep_puts_abandoned_work_back_and_rings_for_it(
    studio: Studio, bells: ListeningQueue, clock: Clock
) -> None:
    submit(studio, {})
    runner = Workshop(studio).runner(queue=bells)
    with studio.work() as work:
        lifecycle.claim(work.session, GenerationJob, worker="dead", now=clock(), lease_seconds=15)
    runner.sweep()
    assert bells.rung == []
    clock.advance(16)
    with capture_logs() as lines:
        runner.sweep()
    assert bells.rung == [KIND]
    assert statuses(studio) == ["queued"]
    assert [(line["event"], line["requeued"], line["given_up"]) for line in lines] == [
        ("abandoned jobs", 1, 0)
    ]


def test_a_sweep_rings_for_work_whose_bell_was_lost(studio: Studio, bells: ListeningQueue) -> None:
    runner = Workshop(studio).runner(queue=bells)
    runner.sweep()
    assert bells.rung == []
    submit(studio, {})
    runner.sweep()
    runner.sweep()
    assert bells.rung == [KIND] * 2


def test_a_database_that_fails_at_the_end_costs_a_lease_and_no_job(studio: Studio, clock: Clock) -> None:
    submit(studio, {})
    is_broken = threading.Event()

    @contextmanager
    def work() -> Iterator[Work]:
        if is_broken.is_set():
            raise DatabaseBusy("locked")
        with studio.work() as unit:
            yield unit

    def act(*_: object) -> None:
        is_broken.set()
        raise ZeroDivisionError

    shop = Workshop(studio, act)
    runner = Runner(work, ListeningQueue(), {KIND: shop}, worker="w", pace=PACE)
    with pytest.raises(DatabaseBusy):
        runner.run(KIND)
    assert statuses(studio) == ["running"]
    is_broken.clear()
    clock.advance(16)
    runner.sweep()
    shop.act = finish_all
    runner.run(KIND)
    assert statuses(studio) == ["succeeded"]


def test_it_says_whether_there_was_anything_to_do(studio: Studio) -> None:
    submit(studio, {"model": "another/model"})
    runner = Workshop(studio, where=GenerationJob.model == MODEL).runner()
    assert runner.run(KIND) is False
    assert runner.is_work_waiting(KIND)  # for somebody else
    submit(studio, {})
    assert runner.run(KIND) is True
    assert runner.run(KIND) is False


def test_one_thread_at_a_time_works_on_a_kind(studio: Studio) -> None:
    at_work: list[int] = []
    together: list[int] = []

    def act(shop: Workshop, claims: Sequence[Claim], shift: Shift) -> None:
        at_work.append(1)
        together.append(len(at_work))
        time.sleep(0.05)
        finish_all(shop, claims, shift)
        at_work.pop()

    submit(studio, *[{}] * 6)
    shop = Workshop(studio, act, capacity=1)
    runner = shop.runner()
    threads = [threading.Thread(target=runner.run, args=(KIND,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert together == [1] * 6


def test_who_leaves_claims_no_more_and_ends_what_runs(studio: Studio) -> None:
    submit(studio, *[{}] * 2)

    def act(shop: Workshop, claims: Sequence[Claim], shift: Shift) -> None:
        runner.leave()
        assert not shift.is_stopping()
        finish_all(shop, claims, shift)

    runner = Workshop(studio, act, capacity=1).runner()
    assert runner.run(KIND) is True
    assert statuses(studio) == ["succeeded", "queued"]
    assert runner.run(KIND) is False
