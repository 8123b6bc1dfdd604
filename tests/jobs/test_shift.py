"""What a handler works in. How a runner uses it is in test_runner.py, the order of turns in test_order.py."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from structlog.testing import capture_logs

from tests.jobs.workshop import Workshop, jobs_of, shift_of, statuses, submit, wait_until
from tests.rows import MODEL
from tests.studios import Clock
from text2song.errors import DatabaseBusy
from text2song.generation.tables import GenerationJob
from text2song.jobs import lifecycle
from text2song.jobs.leases import Leases
from text2song.jobs.shift import Shift
from text2song.studio import Studio


@contextmanager
def at_work(studio: Studio, shop: Workshop | None = None, **words: threading.Event) -> Iterator[Shift]:
    """A shift whose leases are beaten in the database."""
    shop = shop or Workshop(studio)
    runner = shop.runner()
    leases = Leases(lambda reports: runner._beat(shop, reports), beat_seconds=0.02, lease_seconds=15)
    with leases:
        yield shift_of(
            studio,
            shop,
            leases=leases,
            is_leaving=words.get("leaving", threading.Event()).is_set,
            is_stopping=words.get("stopping", threading.Event()).is_set,
        )


def test_it_claims_one_job_at_a_time_and_no_more_than_it_is_asked_for(studio: Studio) -> None:
    first, second, _ = submit(studio, {}, {"priority": -1}, {"priority": -2})
    with at_work(studio) as shift:
        turn = shift.next_turn()
        assert turn is not None
        assert turn.job_id == first
        assert statuses(studio) == ["running", "queued", "queued"]
        other = shift.next_turn()
        assert other is not None
        assert other.job_id == second
        assert shift.claims == [turn, other]


def test_a_row_of_what_is_held_begins_where_nothing_better_waits(studio: Studio, clock: Clock) -> None:
    submit(studio, {"rows": 3, "turn_key": "ada"})
    with at_work(studio) as shift:
        held = shift.next_turn()
        assert held is not None
        clock.advance(1)
        assert shift.next_turn([held]) == held
        (hers,) = submit(studio, {"turn_key": "bob"})
        clock.advance(1)
        turn = shift.next_turn([held])
        assert turn is not None
        assert turn.job_id == hers
        clock.advance(1)
        assert shift.next_turn([held]) == held
    [job, _] = jobs_of(studio)
    assert (job.rows_begun, job.claimed_at) == (3, clock.now)


def test_what_it_holds_is_beaten_until_it_is_dropped(studio: Studio, clock: Clock) -> None:
    submit(studio, {})
    with at_work(studio) as shift:
        claim = shift.next_turn()
        assert claim is not None
        clock.advance(10)
        wait_until(lambda: jobs_of(studio)[0].lease_renewed_at == clock.now)
        shift.drop(claim)
        assert shift.claims == []


def test_a_lost_job_is_not_given_a_turn(studio: Studio) -> None:
    lost, kept = submit(studio, {"rows": 3}, {"rows": 3})
    with at_work(studio) as shift:
        held = [turn for turn in (shift.next_turn(), shift.next_turn()) if turn is not None]
        with studio.work() as work:
            lifecycle.cancel(work.session, GenerationJob, lost, now=work.clock())
        turn = shift.next_turn(held)
        assert turn is not None
        assert turn.job_id == kept
        wait_until(lambda: shift.is_lost(held[0]))
        assert shift.next_turn(held[:1]) is None


@pytest.mark.parametrize("word", ["leaving", "stopping"])
def test_who_leaves_begins_nothing_more(studio: Studio, word: str) -> None:
    submit(studio, {"rows": 3}, {})
    leaving, stopping = threading.Event(), threading.Event()
    with at_work(studio, leaving=leaving, stopping=stopping) as shift:
        held = shift.next_turn()
        assert held is not None
        leaving.set()
        if word == "stopping":
            stopping.set()
        assert shift.is_closing()
        assert shift.is_stopping() is (word == "stopping")
        assert shift.next_turn([held]) is None
    assert statuses(studio) == ["running", "queued"]


def test_a_database_that_is_away_is_as_if_nothing_waited_while_something_is_in_hand(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(studio, {"rows": 3}, {})

    def broken(*_: object, **__: object) -> None:
        raise DatabaseBusy("locked")

    take_turn = lifecycle.take_turn
    with at_work(studio) as shift:
        monkeypatch.setattr(lifecycle, "take_turn", broken)
        with pytest.raises(DatabaseBusy):
            shift.next_turn()
        monkeypatch.setattr(lifecycle, "take_turn", take_turn)
        held = shift.next_turn()
        assert held is not None
        monkeypatch.setattr(lifecycle, "take_turn", broken)
        with capture_logs() as lines:
            assert shift.next_turn([held]) is None
        monkeypatch.setattr(lifecycle, "take_turn", take_turn)
        assert shift.next_turn([held]) is not None
    assert [(line["log_level"], line["code"]) for line in lines] == [("warning", "database_busy")]


def test_what_it_does_not_accept_is_left(studio: Studio) -> None:
    submit(studio, {"model": "another/model"})
    with at_work(studio, Workshop(studio, where=GenerationJob.model == MODEL)) as shift:
        assert shift.next_turn() is None
        assert not shift.has_claimed


def test_a_shift_that_is_not_open_leaves_what_waits_to_others(studio: Studio) -> None:
    first, waiting = submit(studio, {}, {"priority": 5})
    with at_work(studio) as shift:
        held = shift.next_turn()
        assert held is not None
        assert held.job_id == waiting
        assert shift.next_turn([held], is_open=False) == held
        assert shift.next_turn([], is_open=False) is None
        other = shift.next_turn([])
        assert other is not None
        assert other.job_id == first
