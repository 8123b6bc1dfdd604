import datetime as dt
import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, true
from sqlalchemy.orm import Session

from tests.rows import MODEL, add_prompt, job_of
from tests.studios import START
from text2song.db.base import new_id
from text2song.generation.tables import GenerationJob
from text2song.jobs import lifecycle
from text2song.jobs.columns import JobStatus
from text2song.jobs.lifecycle import Claim
from text2song.jobs.order import Place, Waiting, in_order, places
from text2song.studio import Studio, Work

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
    rows: int = 1
    """To come."""
    held_since: int | None = None
    """Seconds before the start at which the worker began its last row; None: it waits."""


ASKED = st.lists(
    st.builds(
        Asked,
        user=st.sampled_from(USERS),
        priority=st.sampled_from([-10, 0, 0, 0, 1, 10]),
        cost=st.integers(1, 30).map(float),
        not_before=st.sampled_from([None, None, None, -5, 0, 7]),
        rows=st.sampled_from([1, 1, 2, 5]),
    ),
    max_size=14,
)
HELD = st.lists(
    st.builds(
        Asked,
        user=st.sampled_from(USERS),
        priority=st.sampled_from([-10, 0, 0, 0, 1, 10]),
        cost=st.integers(1, 30).map(float),
        not_before=st.none(),
        rows=st.integers(1, 4),
        held_since=st.integers(1, 5),
    ),
    max_size=4,
)
SERVED = st.dictionaries(st.sampled_from(USERS), st.integers(1, 5))
"""Seconds before the start at which users were served."""


def slow_reference(jobs: Sequence[Asked], served: dict[str, int]) -> list[int]:
    """The rule as it is said aloud, asked anew for each row; the numbers of the jobs, each row's in order."""
    last_served = {user: -float(seconds) for user, seconds in served.items()}
    for job in jobs:
        if job.held_since is not None:
            last_served[job.user] = max(last_served.get(job.user, -float("inf")), -float(job.held_since))
    left = {n: job.rows for n, job in enumerate(jobs)}
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
        left[best] -= 1
        if not left[best]:
            del left[best]
        last_served[jobs[best].user] = float(len(order))
    return order


def slow_places(jobs: Sequence[Asked], order: Sequence[int]) -> dict[int, Place]:
    """Of the jobs that wait, by number: as people count them who watch the rows begin."""
    firsts = [n for n in dict.fromkeys(order) if jobs[n].held_since is None]
    found = {}
    for position, number in enumerate(firsts, start=1):
        last = max(step for step, n in enumerate(order) if n == number)
        ahead = sum(jobs[n].cost / jobs[n].rows for n in order[:last] if n != number)
        found[number] = Place(position, ahead)
    return found


def moment(seconds: float | None) -> dt.datetime | None:
    return None if seconds is None else START + dt.timedelta(seconds=seconds)


def fill(work: Work, jobs: Sequence[Asked], served: dict[str, int]) -> list[uuid.UUID]:
    """Only these jobs, and one finished job for each user who was served; the ids of these jobs."""
    session = work.session
    session.execute(delete(TABLE))
    prompt_id = add_prompt(session)
    for user, seconds in served.items():
        done = {"turn_key": user, "status": JobStatus.SUCCEEDED}
        session.add(job_of(prompt_id, **done, claimed_at=moment(-seconds)))
        session.add(job_of(prompt_id, **done, claimed_at=moment(-seconds - 10)))
    added = [_row_of(prompt_id, job) for job in jobs]
    session.add_all(added)
    session.flush()
    return [job.id for job in added]


def _row_of(prompt_id: uuid.UUID, job: Asked) -> GenerationJob:
    said = {"turn_key": job.user, "priority": job.priority, "not_before": moment(job.not_before)}
    if job.held_since is None:
        return job_of(prompt_id, **said, rows=job.rows, cost=job.cost)
    return job_of(
        prompt_id,
        **said,
        status=JobStatus.RUNNING,
        claim_token=new_id(),
        claimed_at=moment(-job.held_since),
        rows=job.rows + 2,  # two are in the making, and cost as much as the others
        rows_begun=2,
        cost=job.cost / job.rows * (job.rows + 2),
    )


def held_by_the_worker(session: Session) -> dict[Claim, int]:
    """What runs, with the rows that are to come."""
    running = select(TABLE.id, TABLE.claim_token, TABLE.rows - TABLE.rows_begun).where(
        TABLE.status == JobStatus.RUNNING
    )
    return {Claim(job_id, token): rows for job_id, token, rows in session.execute(running) if token}


def begin_all(session: Session, rows_of: Mapping[uuid.UUID, int]) -> list[uuid.UUID]:
    """Begin rows as one worker does until nothing is ready, wait for what is not, and begin that too."""
    held = held_by_the_worker(session)
    order = []
    now = START
    for pause in (0, 60):
        now += dt.timedelta(seconds=pause)
        while turn := lifecycle.take_turn(session, TABLE, held, worker="w", now=now, lease_seconds=15):
            order.append(turn.job_id)
            held[turn] = held.get(turn, rows_of[turn.job_id]) - 1
            if not held[turn]:
                del held[turn]
            now += dt.timedelta(milliseconds=1)
    return order


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(held=HELD, waiting=ASKED, served=SERVED, mix=st.randoms(use_true_random=False))
def test_rows_begin_in_the_order_of_the_rule_and_the_places_foretell_it(
    studio: Studio, held: list[Asked], waiting: list[Asked], served: dict[str, int], mix: random.Random
) -> None:
    jobs = [*held, *waiting]
    mix.shuffle(jobs)
    with studio.work() as work:
        ids = fill(work, jobs, served)
        foretold = places(work.session, TABLE, ids, where=true(), now=START)
        begun = begin_all(work.session, {job_id: job.rows for job_id, job in zip(ids, jobs, strict=True)})

    expected = slow_reference(jobs, served)
    assert [ids.index(job_id) for job_id in begun] == expected
    for number, place in slow_places(jobs, expected).items():
        told = foretold[ids[number]]
        assert told.position == place.position
        assert told.cost_ahead == pytest.approx(place.cost_ahead)
    assert len(foretold) == len(waiting)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(held=HELD, waiting=ASKED, served=SERVED)
def test_at_every_step_the_next_job_that_is_claimed_has_the_first_place(
    studio: Studio, held: list[Asked], waiting: list[Asked], served: dict[str, int]
) -> None:
    """The line is looked at again after each row, as a person who polls does."""
    jobs = [*held, *(replace(job, not_before=None) for job in waiting)]
    with studio.work() as work:
        ids = fill(work, jobs, served)
        in_hand = held_by_the_worker(work.session)
        left = len(waiting)
        for step in range(sum(job.rows for job in jobs)):
            now = START + dt.timedelta(seconds=step)
            line = places(work.session, TABLE, ids, where=true(), now=now)
            assert sorted(place.position for place in line.values()) == list(range(1, left + 1))
            turn = lifecycle.take_turn(work.session, TABLE, in_hand, worker="w", now=now, lease_seconds=15)
            assert turn is not None
            if turn not in in_hand:
                assert line[turn.job_id].position == 1
                in_hand[turn] = jobs[ids.index(turn.job_id)].rows
                left -= 1
            in_hand[turn] -= 1
            if not in_hand[turn]:
                del in_hand[turn]
        assert (left, in_hand) == (0, {})


def test_a_claim_goes_ahead_of_what_is_held_only_where_it_comes_first(studio: Studio) -> None:
    """Held by ada, served a second ago: her own older job, one of bob's, one of a higher priority."""
    held = Asked("ada", 0, 1, None, rows=9, held_since=1)
    cases = {
        Asked("ada", 0, 1, None): False,
        Asked("bob", 0, 1, None): True,
        Asked("bob", -1, 1, None): False,
        Asked("ada", 1, 1, None): True,
    }
    for other, comes_first in cases.items():
        with studio.work() as work:
            ids = fill(work, [held, other], {})
            turn = lifecycle.take_turn(
                work.session,
                TABLE,
                held_by_the_worker(work.session),
                worker="w",
                now=START,
                lease_seconds=15,
            )
        assert turn is not None
        assert ids.index(turn.job_id) == comes_first, other


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
        assert [ids.index(job_id) for job_id in begin_all(work.session, dict.fromkeys(ids, 1))] == [2, 1, 0]


def test_a_job_that_is_handed_back_did_not_use_its_users_turn(studio: Studio) -> None:
    jobs = [Asked("ada", 0, 1, None), Asked("bob", 0, 1, None)]
    with studio.work() as work:
        ids = fill(work, jobs, {})
        claim = lifecycle.claim(work.session, TABLE, worker="w", now=START, lease_seconds=15)
        assert claim is not None
        lifecycle.release(work.session, TABLE, claim)
        assert [ids.index(job_id) for job_id in begin_all(work.session, dict.fromkeys(ids, 1))] == [0, 1]


def test_only_those_that_are_asked_for_and_admitted_have_a_place(studio: Studio) -> None:
    with studio.work() as work:
        prompt_id = add_prompt(work.session)
        jobs = [
            job_of(prompt_id, model="another/model", cost=100.0),
            job_of(prompt_id, status=JobStatus.RUNNING, rows_begun=1, cost=100.0),
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


def test_two_with_large_jobs_alternate_row_by_row() -> None:
    jobs = [Waiting(new_id(), 0, user, 1.0, rows=rows) for user, rows in (("ada", 3), ("ada", 1), ("bob", 4))]
    order = [jobs.index(job) for job in in_order(jobs, served_at={})]
    assert order == [0, 2, 0, 2, 0, 2, 1, 2]
