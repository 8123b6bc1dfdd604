import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from tests.rows import add_prompt, job_of
from tests.studios import START
from text2song.db.base import new_id
from text2song.errors import ClaimLost, DatabaseBusy, InvalidInput
from text2song.generation.tables import GenerationJob
from text2song.jobs import lifecycle
from text2song.jobs.columns import FINAL
from text2song.jobs.lifecycle import Claim, Report
from text2song.studio import Studio

TABLE = GenerationJob
LEASE_SECONDS = 15.0
PASSING, LASTING = DatabaseBusy("it may pass"), InvalidInput("it will not pass")
Row = Mapping[str, Any]


class Job:
    """One job and the claim that was last had on it; `now` goes on by what each act says."""

    def __init__(self, session: Session) -> None:
        session.execute(delete(TABLE))
        self.session = session
        self.now = START
        job = job_of(add_prompt(session))
        session.add(job)
        session.flush()
        self.id = job.id
        self.token = Claim(job.id, new_id())
        """Before the first claim: one that nobody ever had."""

    @property
    def row(self) -> Row:
        row = self.session.execute(select(TABLE.__table__).where(TABLE.id == self.id)).mappings().one()
        return dict(row)

    def claim(self, worker: str = "w") -> bool:
        claim = lifecycle.claim(self.session, TABLE, worker=worker, now=self.now, lease_seconds=LEASE_SECONDS)
        self.token = claim or self.token
        return claim is not None

    def beat(self, report: Report | None = None) -> bool:
        return lifecycle.beat(
            self.session, TABLE, self.token, now=self.now, lease_seconds=LEASE_SECONDS, report=report
        )

    def report(self) -> bool:
        return self.beat(Report(0.5, "composing"))

    def hold(self) -> bool:
        return _unless_lost(lambda: lifecycle.hold(self.session, TABLE, self.token))

    def finish(self) -> bool:
        return _unless_lost(lambda: lifecycle.finish(self.session, TABLE, self.token, now=self.now))

    def fail(self) -> bool:
        return _unless_lost(
            lambda: lifecycle.fail(self.session, TABLE, self.token, error=LASTING, now=self.now)
        )

    def stumble(self) -> bool:
        return _unless_lost(
            lambda: lifecycle.fail(self.session, TABLE, self.token, error=PASSING, now=self.now)
        )

    def release(self) -> bool:
        before = self.row
        lifecycle.release(self.session, TABLE, self.token)
        return self.row != before

    def hand_back(self) -> bool:
        before = self.row
        lifecycle.hand_back(self.session, TABLE, self.token)
        return self.row != before

    def begin(self) -> bool:
        return lifecycle.begin_row(self.session, TABLE, self.token, now=self.now)

    def cancel(self) -> bool:
        return lifecycle.cancel(self.session, TABLE, self.id, now=self.now)

    def sweep(self) -> bool:
        swept = lifecycle.sweep(self.session, TABLE, now=self.now)
        return bool(swept.requeued or swept.given_up)

    def wait(self, seconds: float) -> dt.datetime:
        self.now += dt.timedelta(seconds=seconds)
        return self.now


def _unless_lost(act: Callable[[], object]) -> bool:
    try:
        act()
    except ClaimLost:
        return False
    return True


STATES: dict[str, Callable[[Job], object]] = {
    "queued": lambda _: None,
    "backing off": lambda job: (job.claim(), job.stumble()),
    "handed back": lambda job: (job.claim(), job.release()),
    "swept": lambda job: (job.claim(), job.wait(16), job.sweep()),
    "running": lambda job: job.claim(),
    "silent": lambda job: (job.claim(), job.wait(16)),
    "succeeded": lambda job: (job.claim(), job.finish()),
    "failed": lambda job: (job.claim(), job.fail()),
    "cancelled": lambda job: job.cancel(),
    "cancelled while running": lambda job: (job.claim(), job.cancel()),
}
ACTS: dict[str, Callable[[Job], bool]] = {
    "claim": Job.claim,
    "beat": Job.beat,
    "report": Job.report,
    "hold": Job.hold,
    "finish": Job.finish,
    "fail": Job.fail,
    "stumble": Job.stumble,
    "release": Job.release,
    "hand back": Job.hand_back,
    "begin": Job.begin,
    "cancel": Job.cancel,
    "sweep": Job.sweep,
}
HELD = {
    "beat": "running",
    "report": "running",
    "hold": "running",
    "finish": "succeeded",
    "fail": "failed",
    "stumble": "queued",
    "release": "queued",
    "hand back": "queued",
    "begin": "running",
    "cancel": "cancelled",
}
ALLOWED: dict[str, dict[str, str]] = {
    "queued": {"claim": "running", "cancel": "cancelled"},
    "backing off": {"cancel": "cancelled"},
    "handed back": {"claim": "running", "cancel": "cancelled"},
    "swept": {"claim": "running", "cancel": "cancelled"},
    "running": HELD,
    "silent": {**HELD, "sweep": "queued"},  # until it is swept, it is still its worker's
    "succeeded": {},
    "failed": {},
    "cancelled": {},
    "cancelled while running": {},
}
"""What each act makes of each state; whatever is not here is forbidden."""


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("act", ACTS)
def test_every_act_in_every_state(studio: Studio, state: str, act: str) -> None:
    with studio.work() as work:
        job = Job(work.session)
        STATES[state](job)
        before = job.row
        changed = ACTS[act](job)
        after = job.row
    if act in ALLOWED[state]:
        assert changed
        assert after["status"] == ALLOWED[state][act]
        if act not in {"beat", "begin"}:  # nobody sees them
            assert after["sequence"] == before["sequence"] + 1
    else:
        assert not changed
        assert after == before


@pytest.mark.parametrize("how", ["cancel", "sweep", "sweep and claim", "release and claim", "fail and claim"])
def test_a_worker_whose_claim_is_gone_can_write_nothing(studio: Studio, how: str) -> None:
    with studio.work() as work:
        job = Job(work.session)
        job.claim("first")
        lost = job.token
        if how == "cancel":
            job.cancel()
        elif how.startswith("sweep"):
            job.wait(16)
            job.sweep()
        elif how.startswith("release"):
            job.release()
        else:
            job.stumble()
            job.wait(2)
        if how.endswith("and claim"):
            assert job.claim("second")
        job.token, theirs = lost, job.token
        before = job.row
        for name in ("beat", "report", "hold", "finish", "fail", "stumble", "release", "hand back", "begin"):
            assert not ACTS[name](job), name
            assert job.row == before, name
        if how.endswith("and claim"):
            job.token = theirs
            assert job.row["claimed_by"] == "second"
            assert job.hold()
            assert job.finish()


def test_what_a_claim_writes(studio: Studio) -> None:
    with studio.work() as work:
        job = Job(work.session)
        job.wait(3)
        assert job.claim("host:7")
        first = job.row
        job.wait(16)
        job.sweep()
        job.wait(1)
        assert job.claim("host:8")
        second = job.row
    assert first["claimed_by"] == "host:7"
    assert first["stage"] == "starting"
    assert first["started_at"] == first["claimed_at"] == START + dt.timedelta(seconds=3)
    assert first["lease_expires_at"] == START + dt.timedelta(seconds=18)
    assert second["started_at"] == first["started_at"]  # when a worker first began
    assert second["claimed_at"] == START + dt.timedelta(seconds=20)
    assert len({first["claim_token"], second["claim_token"], None}) == 3
    assert (first["attempts"], second["attempts"]) == (1, 2)


def test_what_the_end_writes(studio: Studio) -> None:
    for act in (Job.finish, Job.fail, Job.cancel):
        with studio.work() as work:
            job = Job(work.session)
            job.claim()
            job.wait(5)
            act(job)
            row = job.row
        assert row["finished_at"] == START + dt.timedelta(seconds=5)
        assert row["claim_token"] is None
        assert row["lease_expires_at"] is None
        assert row["status"] in FINAL
        assert row["progress"] == (1.0 if act is Job.finish else 0.0)


def test_a_failure_that_may_pass_is_tried_three_times_after_two_and_ten_seconds(studio: Studio) -> None:
    with studio.work() as work:
        job = Job(work.session)
        for failures, wait_seconds in ((1, 2.0), (2, 10.0)):
            assert job.claim()
            assert not lifecycle.fail(work.session, TABLE, job.token, error=PASSING, now=job.now)
            row = job.row
            assert (row["status"], row["attempts"], row["failures"]) == ("queued", failures, failures)
            assert (row["error_code"], row["error_message"]) == ("database_busy", "it may pass")
            job.wait(wait_seconds - 0.001)
            assert not job.claim()
            job.wait(0.001)
        assert job.claim()
        assert lifecycle.fail(work.session, TABLE, job.token, error=PASSING, now=job.now)
        row = job.row
    assert (row["status"], row["attempts"], row["failures"]) == ("failed", 3, 3)
    assert (row["error_code"], row["error_message"]) == ("database_busy", "it may pass")


def test_a_failure_that_will_not_pass_is_the_last(studio: Studio) -> None:
    with studio.work() as work:
        job = Job(work.session)
        job.claim()
        assert lifecycle.fail(work.session, TABLE, job.token, error=LASTING, now=job.now)
        row = job.row
    assert (row["status"], row["attempts"], row["failures"]) == ("failed", 1, 1)
    assert (row["error_code"], row["error_message"]) == ("invalid_input", "it will not pass")


def test_success_after_a_failure_shows_no_error(studio: Studio) -> None:
    with studio.work() as work:
        job = Job(work.session)
        job.claim()
        job.stumble()
        job.wait(2)
        job.claim()
        assert job.row["error_code"] == "database_busy"  # why there is a second attempt
        job.finish()
        row = job.row
    assert (row["status"], row["error_code"], row["error_message"]) == ("succeeded", None, None)


def test_lost_workers_do_not_use_up_the_attempts_and_have_a_limit_of_their_own(studio: Studio) -> None:
    with studio.work() as work:
        job = Job(work.session)
        for lost in range(1, lifecycle.MAX_LOST_LEASES + 1):
            assert job.claim()
            job.wait(16)
            swept = lifecycle.sweep(work.session, TABLE, now=job.now)
            assert swept == lifecycle.Swept(requeued=1, given_up=0, is_work_waiting=True)
            assert (job.row["status"], job.row["lost_leases"], job.row["failures"]) == ("queued", lost, 0)
        assert job.claim()
        job.stumble()  # its failures are counted from the first
        job.wait(2)
        assert job.row["failures"] == 1
        assert job.claim()
        job.wait(16)
        swept = lifecycle.sweep(work.session, TABLE, now=job.now)
        assert swept == lifecycle.Swept(requeued=0, given_up=1, is_work_waiting=False)
        row = job.row
    assert (row["status"], row["error_code"], row["lost_leases"]) == ("failed", "worker_lost", 21)
    assert "21 workers stopped" in row["error_message"]
    assert "log and memory" in row["error_message"]
    assert row["finished_at"] == job.now


def test_a_worker_that_beats_keeps_its_job_for_as_long_as_it_likes(studio: Studio) -> None:
    with studio.work() as work:
        job = Job(work.session)
        job.claim()
        for _ in range(10):
            job.wait(14)
            assert not job.sweep()
            assert job.beat()
        job.wait(15)
        assert not job.sweep()  # a lease ends after its last moment
        job.wait(0.001)
        assert job.sweep()


def test_a_sweep_says_whether_anybody_should_be_woken(studio: Studio) -> None:
    def waiting(job: Job) -> bool:
        return lifecycle.sweep(job.session, TABLE, now=job.now).is_work_waiting

    with studio.work() as work:
        job = Job(work.session)
        assert waiting(job)
        job.claim()
        assert not waiting(job)
        job.stumble()
        assert not waiting(job)
        job.wait(2)
        assert waiting(job)


def test_progress_waits_where_it_was_and_a_new_attempt_begins_at_what_was_kept(studio: Studio) -> None:
    with studio.work() as work:
        job = Job(work.session)
        job.claim()
        job.beat(Report(0.8, "composing"))
        job.stumble()
        assert (job.row["progress"], job.row["stage"]) == (0.8, "waiting")
        job.wait(2)
        job.claim()
        sequence = job.row["sequence"]
        job.beat(Report(0.5, "composing"))  # one of two takes was kept
        row = job.row
    assert (row["progress"], row["stage"]) == (0.5, "composing")
    assert row["sequence"] > sequence


VISIBLE = (
    "status",
    "progress",
    "stage",
    "attempts",
    "error_code",
    "error_message",
    "started_at",
    "finished_at",
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    walk=st.lists(
        st.tuples(st.sampled_from(sorted(ACTS)), st.sampled_from([0.0, 1.0, 9.0, 16.0])), max_size=25
    )
)
def test_the_sequence_grows_with_every_visible_change_and_with_no_other(
    studio: Studio, walk: list[tuple[str, float]]
) -> None:
    with studio.work() as work:
        job = Job(work.session)
        last = job.row
        for name, pause_seconds in walk:
            job.wait(pause_seconds)
            ACTS[name](job)
            row = job.row
            if any(row[column] != last[column] for column in VISIBLE):
                assert row["sequence"] == last["sequence"] + 1, (name, last, row)
            elif name not in {"report", "hold"}:  # a hold comes with a take, which is visible
                assert row["sequence"] == last["sequence"], (name, last, row)
            if last["status"] in FINAL:
                assert row == last
            assert row["failures"] <= lifecycle.MAX_FAILURES
            assert (row["claim_token"] is not None) == (row["status"] == "running")
            last = row
