import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from tests.rows import add_prompt, job_of
from text2song.db.base import new_id
from text2song.errors import DatabaseBusy
from text2song.generation.tables import GenerationJob
from text2song.jobs import leases as leases_module
from text2song.jobs import lifecycle
from text2song.jobs.leases import Leases
from text2song.jobs.lifecycle import Claim, Report
from text2song.studio import Studio

BEAT_SECONDS, LEASE_SECONDS = 0.02, 0.4
TABLE = GenerationJob


def wait_until(is_so: Callable[[], bool], *, limit_seconds: float = 10) -> None:
    until = time.monotonic() + limit_seconds
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.005)


@dataclass
class Heart:
    """A beat that remembers, and answers or fails as it is told."""

    answer: Callable[[Claim], bool] = lambda _: True
    beats: list[tuple[Claim, Report | None]] = field(default_factory=list)

    def __call__(self, claim: Claim, report: Report | None) -> bool:
        self.beats.append((claim, report))
        return self.answer(claim)

    def reports(self) -> list[Report]:
        return [report for _, report in self.beats if report is not None]


def a_claim() -> Claim:
    return Claim(new_id(), new_id())


def leases_of(heart: Callable[[Claim, Report | None], bool]) -> Leases:
    def beat(news: Mapping[Claim, Report | None]) -> set[Claim]:
        return {claim for claim, report in news.items() if not heart(claim, report)}

    return Leases(beat, beat_seconds=BEAT_SECONDS, lease_seconds=LEASE_SECONDS)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert "leases" not in {thread.name for thread in threading.enumerate()}


def test_each_claim_is_renewed_until_it_is_dropped() -> None:
    heart, first, second = Heart(), a_claim(), a_claim()
    with leases_of(heart) as leases:
        leases.add([first, second])
        wait_until(lambda: [claim for claim, _ in heart.beats].count(second) >= 3)
        leases.drop(first)
        time.sleep(BEAT_SECONDS)  # one that had begun may still end
        heart.beats.clear()
        wait_until(lambda: len(heart.beats) >= 3)
        assert {claim for claim, _ in heart.beats} == {second}
        assert not leases.is_lost(first)


def test_a_report_is_carried_once_and_the_newest_wins() -> None:
    heart, claim = Heart(), a_claim()
    with leases_of(heart) as leases:
        leases.add([claim])
        for done in range(50):
            leases.report(claim, Report(done / 50, "composing"))
        wait_until(lambda: len(heart.reports()) == 1)
        heart.beats.clear()
        wait_until(lambda: len(heart.beats) >= 3)
        assert heart.reports() == []  # silent renewals
        leases.report(claim, Report(1.0, "rendering"))
        wait_until(lambda: heart.reports() == [Report(1.0, "rendering")])


def test_small_progress_is_told_when_it_comes_to_a_step() -> None:
    heart, claim = Heart(), a_claim()
    with leases_of(heart) as leases:
        leases.add([claim])
        leases.report(claim, Report(0.5, "composing"))
        wait_until(lambda: len(heart.reports()) == 1)
        for progress in (0.5025, 0.505, 0.5075, 0.51, 0.5125):
            leases.report(claim, Report(progress, "composing"))
            beats = len(heart.beats)
            wait_until(lambda: len(heart.beats) >= beats + 2)  # noqa: B023  # at once
        leases.report(claim, Report(0.5125, "rendering"))
        wait_until(lambda: len(heart.reports()) == 3)
        leases.report(claim, Report(0.4, "rendering"))  # a new attempt has less
        wait_until(lambda: len(heart.reports()) == 4)
    assert [report.progress for report in heart.reports()] == [0.5, 0.51, 0.5125, 0.4]


def test_a_report_that_did_not_arrive_is_carried_again() -> None:
    broken = threading.Event()
    broken.set()

    def answer(_: Claim) -> bool:
        if broken.is_set():
            raise DatabaseBusy("locked")
        return True

    heart, claim = Heart(answer), a_claim()
    with leases_of(heart) as leases:
        leases.add([claim])
        leases.report(claim, Report(0.5, "composing"))
        wait_until(lambda: len(heart.reports()) >= 2)
        broken.clear()
        heart.beats.clear()
        wait_until(lambda: heart.reports() == [Report(0.5, "composing")])
        assert not leases.is_lost(claim)


def test_a_lost_claim_is_known_and_left_alone_and_its_siblings_live_on() -> None:
    lost, kept = a_claim(), a_claim()
    heart = Heart(lambda claim: claim != lost)
    with leases_of(heart) as leases:
        leases.add([lost, kept])
        wait_until(lambda: leases.is_lost(lost))
        heart.beats.clear()
        wait_until(lambda: len(heart.beats) >= 3)
        assert {claim for claim, _ in heart.beats} == {kept}
        assert not leases.is_lost(kept)


@dataclass
class Watch:
    """The clock that leases are measured with, in place of the module `time`."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    watch = Watch()
    monkeypatch.setattr(leases_module, "time", watch)
    return watch


def test_errors_are_survived_until_the_lease_is_over(watch: Watch) -> None:
    is_broken = threading.Event()

    def answer(_: Claim) -> bool:
        if is_broken.is_set():
            raise DatabaseBusy("locked")
        return True

    heart, claim = Heart(answer), a_claim()

    def after_some_beats() -> bool:
        heart.beats.clear()
        wait_until(lambda: len(heart.beats) >= 3)
        return leases.is_lost(claim)

    with leases_of(heart) as leases:
        leases.add([claim])
        is_broken.set()
        watch.now += LEASE_SECONDS - 0.01
        assert not after_some_beats()
        is_broken.clear()  # the database is back, and with it the whole lease
        assert not after_some_beats()
        is_broken.set()
        watch.now += LEASE_SECONDS - 0.01
        assert not after_some_beats()
        watch.now += 0.02
        wait_until(lambda: leases.is_lost(claim))
        is_broken.clear()
        time.sleep(BEAT_SECONDS * 3)
        assert leases.is_lost(claim)  # it may be another's by now


def test_a_beat_that_hangs_for_longer_than_the_lease_is_a_lost_lease(watch: Watch) -> None:
    def answer(_: Claim) -> bool:
        watch.now += LEASE_SECONDS + 0.1
        raise DatabaseBusy("locked")

    heart, claim = Heart(answer), a_claim()
    with leases_of(heart) as leases:
        leases.add([claim])
        wait_until(lambda: leases.is_lost(claim))
    assert len(heart.beats) == 1


def test_a_hanging_beat_hides_no_lost_lease(watch: Watch) -> None:
    hangs, goes_on = threading.Event(), threading.Event()

    def answer(_: Claim) -> bool:
        hangs.set()
        return goes_on.wait(10)

    claims = [a_claim() for _ in range(8)]
    with leases_of(Heart(answer)) as leases:
        leases.add(claims)
        assert hangs.wait(10)
        watch.now += LEASE_SECONDS + 0.01
        assert all(leases.is_lost(claim) for claim in claims)  # while the beat still hangs
        goes_on.set()
        time.sleep(BEAT_SECONDS * 3)
        assert all(leases.is_lost(claim) for claim in claims)  # a late answer brings nothing back


def test_a_cancel_in_the_database_is_heard_with_the_next_beat(studio: Studio) -> None:
    with studio.work() as work:
        work.session.add(job_of(add_prompt(work.session)))
        work.session.flush()
        claim = lifecycle.claim(work.session, TABLE, worker="w", now=work.clock(), lease_seconds=15)
        assert claim is not None
    beats_after_cancel: list[bool] = []
    cancelled = threading.Event()

    def beat(which: Claim, report: Report | None) -> bool:
        had_been_cancelled = cancelled.is_set()
        with studio.work() as work:
            is_ours = lifecycle.beat(
                work.session, TABLE, which, now=work.clock(), lease_seconds=15, report=report
            )
        if had_been_cancelled:
            beats_after_cancel.append(is_ours)
        return is_ours

    with leases_of(beat) as leases:
        leases.add([claim])
        time.sleep(BEAT_SECONDS * 3)
        assert not leases.is_lost(claim)
        with studio.work() as work:
            lifecycle.cancel(work.session, TABLE, claim.job_id, now=work.clock())
        cancelled.set()
        wait_until(lambda: leases.is_lost(claim))
    assert beats_after_cancel in ([], [False])  # the very next one, if not the one that was on its way


def test_an_exception_in_the_work_ends_the_heartbeat() -> None:
    def work() -> None:
        with leases_of(Heart()) as leases:
            leases.add([a_claim()])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
