import datetime as dt
import random
import sqlite3
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, event, insert, true
from sqlalchemy.orm import Session

from tests.figures import RecordFigure
from tests.rows import MODEL, add_prompt, job_of
from tests.studios import START, furnish
from text2song.db.base import new_id
from text2song.generation.tables import GenerationJob
from text2song.jobs import lifecycle
from text2song.jobs.columns import JobStatus
from text2song.jobs.order import Place, Waiting, in_order, places
from text2song.jobs.queue import SilentQueue
from text2song.studio import Studio, Work, open_studio

TABLE = GenerationJob
USERS = ("", "ada", "bob", "eve")


@dataclass(frozen=True)
class Asked:
    """A waiting job as the strategies draw it; its number in the list is its age."""

    user: str
    priority: int
    cost: float
    not_before: int | None
    """Seconds after the start."""


ASKED = st.lists(
    st.builds(
        Asked,
        user=st.sampled_from(USERS),
        priority=st.sampled_from([-10, 0, 0, 0, 1, 10]),
        cost=st.integers(1, 30).map(float),
        not_before=st.sampled_from([None, None, None, -5, 0, 7]),
    ),
    max_size=14,
)
SERVED = st.dictionaries(st.sampled_from(USERS), st.integers(1, 5))
"""Seconds before the start at which users were served."""


def slow_reference(jobs: Sequence[Asked], served: dict[str, int]) -> list[int]:
    """The rule as it is said aloud, asked anew for each claim; the numbers of the jobs in order."""
    last_served = {user: -float(seconds) for user, seconds in served.items()}
    left = set(range(len(jobs)))
    order: list[int] = []
    while left:
        ready = [n for n in left if (jobs[n].not_before or -1) <= 0]
        candidates = ready or list(left)
        highest = max(jobs[n].priority for n in candidates)
        candidates = [n for n in candidates if jobs[n].priority == highest]
        never = -float("inf")
        longest_ago = min(last_served.get(jobs[n].user, never) for n in candidates)
        users = [n for n in candidates if last_served.get(jobs[n].user, never) == longest_ago]
        best = min(users)
        order.append(best)
        left.remove(best)
        last_served[jobs[best].user] = float(len(order))
    return order


def moment(seconds: float | None) -> dt.datetime | None:
    return None if seconds is None else START + dt.timedelta(seconds=seconds)


def fill(work: Work, jobs: Sequence[Asked], served: dict[str, int]) -> list[uuid.UUID]:
    """Only these jobs, and one finished job for each user who was served; the ids of the waiting ones."""
    session = work.session
    session.execute(delete(TABLE))
    prompt_id = add_prompt(session)
    for user, seconds in served.items():
        done = {"turn_key": user, "status": JobStatus.SUCCEEDED}
        session.add(job_of(prompt_id, **done, claimed_at=moment(-seconds)))
        session.add(job_of(prompt_id, **done, claimed_at=moment(-seconds - 10)))
    waiting = [
        job_of(
            prompt_id,
            turn_key=job.user,
            priority=job.priority,
            cost=job.cost,
            not_before=moment(job.not_before),
        )
        for job in jobs
    ]
    session.add_all(waiting)
    session.flush()
    return [job.id for job in waiting]


def claim_all(session: Session) -> list[uuid.UUID]:
    """Claim until nothing is ready, wait for those that are not, and claim them too."""
    order = []
    now = START
    for pause in (0, 60):
        now += dt.timedelta(seconds=pause)
        while claim := lifecycle.claim(session, TABLE, worker="w", now=now, lease_seconds=15):
            order.append(claim.job_id)
            now += dt.timedelta(milliseconds=1)
    return order


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(jobs=ASKED, served=SERVED)
def test_claims_come_in_the_order_of_the_rule_and_the_places_foretell_it(
    studio: Studio, jobs: list[Asked], served: dict[str, int]
) -> None:
    with studio.work() as work:
        ids = fill(work, jobs, served)
        foretold = places(work.session, TABLE, ids, where=true(), now=START)
        claimed = claim_all(work.session)

    expected = slow_reference(jobs, served)
    assert [ids.index(job_id) for job_id in claimed] == expected
    ahead = 0.0
    for position, number in enumerate(expected, start=1):
        assert foretold[ids[number]] == Place(position, ahead)
        ahead += jobs[number].cost


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(jobs=ASKED, served=SERVED)
def test_at_every_step_the_next_claim_takes_the_first_place(
    studio: Studio, jobs: list[Asked], served: dict[str, int]
) -> None:
    """The line is looked at again after each claim, as a person who polls does."""
    ready = [replace(job, not_before=None) for job in jobs]
    with studio.work() as work:
        ids = fill(work, ready, served)
        for step in range(len(ids)):
            now = START + dt.timedelta(seconds=step)
            line = places(work.session, TABLE, ids, where=true(), now=now)
            claim = lifecycle.claim(work.session, TABLE, worker="w", now=now, lease_seconds=15)
            assert claim is not None
            assert line[claim.job_id] == Place(1, 0.0)
            assert sorted(place.position for place in line.values()) == list(range(1, len(ids) - step + 1))


def test_a_user_with_one_job_waits_for_one_of_each_other_user_at_most(studio: Studio) -> None:
    jobs = [Asked("ada", 0, 1, None)] * 9 + [Asked("bob", 0, 1, None)] * 9 + [Asked("eve", 0, 1, None)]
    with studio.work() as work:
        ids = fill(work, jobs, {})
        line = places(work.session, TABLE, ids, where=true(), now=START)
    assert line[ids[-1]].position == 3


def test_priority_comes_before_turns_and_counts_as_one(studio: Studio) -> None:
    """Whoever was just served with a high priority is not first again among the low ones."""
    jobs = [Asked("ada", 0, 1, None), Asked("bob", 0, 1, None), Asked("ada", 5, 1, None)]
    with studio.work() as work:
        ids = fill(work, jobs, {})
        assert [ids.index(job_id) for job_id in claim_all(work.session)] == [2, 1, 0]


def test_a_job_that_is_handed_back_did_not_use_its_users_turn(studio: Studio) -> None:
    jobs = [Asked("ada", 0, 1, None), Asked("bob", 0, 1, None)]
    with studio.work() as work:
        ids = fill(work, jobs, {})
        claim = lifecycle.claim(work.session, TABLE, worker="w", now=START, lease_seconds=15)
        assert claim is not None
        lifecycle.release(work.session, TABLE, claim)
        assert [ids.index(job_id) for job_id in claim_all(work.session)] == [0, 1]


def test_only_those_that_are_asked_for_and_admitted_have_a_place(studio: Studio) -> None:
    with studio.work() as work:
        prompt_id = add_prompt(work.session)
        jobs = [
            job_of(prompt_id, model="another/model", cost=100.0),
            job_of(prompt_id, status=JobStatus.RUNNING, cost=100.0),
            job_of(prompt_id, cost=3.0),
        ]
        mine = job_of(prompt_id)
        jobs.append(mine)
        work.session.add_all(jobs)
        work.session.flush()
        line = places(
            work.session, TABLE, [mine.id, jobs[1].id, new_id()], where=TABLE.model == MODEL, now=START
        )
    assert line == {mine.id: Place(2, 3.0)}


def test_nobody_waits() -> None:
    assert list(in_order([], served_at={"ada": START})) == []


def test_users_served_in_the_same_moment_take_turns_by_age() -> None:
    jobs = [Waiting(new_id(), 0, user, 1.0) for user in ("bob", "ada", "ada", "bob")]
    order = list(in_order(jobs, served_at={"ada": START, "bob": START}))
    assert [job.turn_key for job in order] == ["bob", "ada", "bob", "ada"]


FINISHED, QUEUED = 20_000, 500


@dataclass(frozen=True)
class Busy:
    """A studio with 20,000 finished jobs and 500 that wait, of 40 users."""

    studio: Studio
    waiting: list[uuid.UUID]


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory, _migrated_database: Path) -> Iterator[Busy]:
    draw = random.Random(7)
    home = tmp_path_factory.mktemp("busy") / "home"
    studio = open_studio(furnish(home, database=_migrated_database), queue=SilentQueue())
    with studio.work() as work:
        like = _columns(job_of(add_prompt(work.session)))

        def rows(count: int) -> list[dict[str, Any]]:
            return [
                like
                | {
                    "id": new_id(),
                    "turn_key": f"user {draw.randrange(40)}",
                    "priority": draw.randint(-10, 10),
                }
                for _ in range(count)
            ]

        finished = [
            row | {"status": JobStatus.SUCCEEDED, "claimed_at": moment(n - FINISHED), "finished_at": START}
            for n, row in enumerate(rows(FINISHED))
        ]
        waiting = rows(QUEUED)
        work.session.execute(insert(TABLE), finished)
        work.session.execute(insert(TABLE), waiting)
    yield Busy(studio, [row["id"] for row in waiting])
    studio.engine.dispose()


def _columns(job: GenerationJob) -> dict[str, Any]:
    return {name: value for name, value in vars(job).items() if not name.startswith("_")}


def test_nothing_that_the_queue_asks_reads_the_finished_jobs(busy: Busy) -> None:
    asked: list[tuple[str, Any]] = []

    @event.listens_for(busy.studio.engine, "before_cursor_execute")
    def note(*arguments: Any) -> None:  # noqa: ANN401  # SQLAlchemy's: connection, cursor, statement, parameters
        asked.append(arguments[2:4])

    with busy.studio.work() as work:
        claim = lifecycle.claim(
            work.session, TABLE, worker="w", now=START, lease_seconds=15, where=TABLE.model == MODEL
        )
        assert claim is not None
        lifecycle.beat(work.session, TABLE, claim, now=START, lease_seconds=15, report=None)
        places(work.session, TABLE, busy.waiting, where=TABLE.model == MODEL, now=START)
        lifecycle.sweep(work.session, TABLE, now=START)
        lifecycle.release(work.session, TABLE, claim)
    event.remove(busy.studio.engine, "before_cursor_execute", note)

    statements = [(sql, values) for sql, values in asked if "generation_jobs" in sql]
    assert len(statements) == 10
    with closing(sqlite3.connect(busy.studio.settings.home / "studio.db")) as database:
        for sql, values in statements:
            plan = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
            on_jobs = [step for step in plan if "generation_jobs" in step]
            assert on_jobs, plan
            assert all(step.startswith("SEARCH") and "INDEX" in step for step in on_jobs), plan


def test_claim_beat_and_place_are_quick_beside_a_long_history(
    busy: Busy, record_figure: RecordFigure
) -> None:
    seconds: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        seconds[name].append(time.perf_counter() - began)

    for _ in range(25):
        with busy.studio.work() as work:
            session = work.session
            session.connection()
            with timed("claim"):
                claim = lifecycle.claim(
                    session, TABLE, worker="w", now=START, lease_seconds=15, where=TABLE.model == MODEL
                )
            assert claim is not None
            with timed("beat"):
                report = lifecycle.Report(0.5, "composing")
                assert lifecycle.beat(session, TABLE, claim, now=START, lease_seconds=15, report=report)
            with timed("place"):
                places(session, TABLE, busy.waiting[-1:], where=TABLE.model == MODEL, now=START)
            with timed("sweep"):
                lifecycle.sweep(session, TABLE, now=START)
    for name, taken in seconds.items():
        record_figure(f"{name} beside 20,000 finished and 500 queued jobs", sorted(taken)[12] * 1e3, "ms")
