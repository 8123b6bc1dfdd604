"""Units of many workers at the same time, on a server where they do not wait for one writer."""

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from tests.databases import outcome_of_second
from tests.figures import RecordFigure
from tests.jobs.workshop import Workshop, submit, wait_until
from tests.studios import Clock
from text2song.db import postgresql
from text2song.db.engine import open_engine
from text2song.errors import ClaimLost, DatabaseBusy, NotFound, StorageFailed, StudioError
from text2song.generation import deletion
from text2song.generation.tables import GenerationJob
from text2song.jobs import lifecycle
from text2song.jobs.columns import FINAL, JobStatus
from text2song.jobs.lifecycle import Claim, Report
from text2song.jobs.queue import SilentQueue
from text2song.jobs.shift import Pace
from text2song.prompts import queries as prompts
from text2song.prompts.tables import Prompt
from text2song.settings import Settings
from text2song.studio import Studio, Work, open_studio, utc_now

pytestmark = pytest.mark.databases("postgresql")
TABLE = GenerationJob
LEASE_SECONDS = 15.0


@pytest.fixture(name="hasty")
def never_wait(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    """The studio, but whoever waits for another unit's row fails at once."""
    monkeypatch.setattr(postgresql, "LOCK_SECONDS", 0.05)
    opened = replace(studio, engine=open_engine(studio.settings.database))
    yield opened
    opened.engine.dispose()


def claim(work: Work, *, worker: str = "w") -> Claim | None:
    now = work.clock()
    return lifecycle.claim(work.session, TABLE, worker=worker, now=now, lease_seconds=LEASE_SECONDS)


def beat(work: Work, claimed: Claim) -> bool:
    return lifecycle.beat(
        work.session, TABLE, claimed, now=work.clock(), lease_seconds=LEASE_SECONDS, report=None
    )


def sweep(work: Work) -> lifecycle.Swept:
    return lifecycle.sweep(work.session, TABLE, now=work.clock())


def test_who_claims_passes_by_what_another_is_just_taking(studio: Studio, hasty: Studio) -> None:
    jobs = submit(studio, {}, {}, {})
    with studio.work() as first, hasty.work() as second:
        took = [claim(first), claim(second), claim(first), claim(second)]
    assert [c and c.job_id for c in took] == [*jobs, None]


def test_a_worker_that_is_frozen_inside_a_unit_keeps_its_job_no_longer_than_a_lease(
    settings: Settings, record_figure: RecordFigure
) -> None:
    quick = open_studio(settings.model_copy(update={"lease_seconds": 1.0}), queue=SilentQueue())
    submit(quick, {})
    with quick.work() as work:
        claimed = lifecycle.claim(work.session, TABLE, worker="w", now=work.clock(), lease_seconds=1.0)
    assert claimed is not None
    began = time.monotonic()
    with pytest.raises((DatabaseBusy, StorageFailed)), quick.work() as frozen:  # noqa: PT012  # its commit fails
        lifecycle.hold(frozen.session, TABLE, claimed)  # the row is locked, and nothing more is heard
        wait_until(lambda: _is_given_back(quick))
    waited = time.monotonic() - began
    with quick.work() as work, pytest.raises(ClaimLost):
        lifecycle.hold(work.session, TABLE, claimed)
    quick.engine.dispose()
    record_figure("from a freeze inside a unit to the job's return, with a lease of 1 s", waited, "s")
    assert waited < 3


def _is_given_back(studio: Studio) -> bool:
    with studio.work() as work:
        return sweep(work).requeued == 1


def test_a_sweep_waits_for_nobody_and_finds_what_is_left_the_next_time(
    studio: Studio, hasty: Studio, clock: Clock
) -> None:
    first, second = submit(studio, {}, {})
    with studio.work() as work:
        claims = [claim(work), claim(work)]
    clock.advance(LEASE_SECONDS + 1)
    with studio.work() as late, hasty.work() as other:
        assert claims[0] is not None
        assert beat(late, claims[0])  # it was silent for long, and is alive
        assert sweep(other) == lifecycle.Swept(requeued=1, given_up=0, is_work_waiting=True)
    with studio.work() as work:
        assert sweep(work).requeued == 0
        states = {row.id: row.status for row in work.session.execute(select(TABLE.id, TABLE.status))}
    assert states == {first: JobStatus.RUNNING, second: JobStatus.QUEUED}


def test_jobs_are_beaten_in_one_order_whatever_the_order_of_their_reports(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = submit(studio, {}, {}, {})
    with studio.work() as work:
        claims = [c for c in [claim(work) for _ in jobs] if c is not None]
    beaten: list[uuid.UUID] = []
    renew = lifecycle.beat

    def note(session: Session, table: lifecycle.JobTable, claimed: Claim, **given: Any) -> bool:  # noqa: ANN401  # passed on
        beaten.append(claimed.job_id)
        return renew(session, table, claimed, **given)

    monkeypatch.setattr(lifecycle, "beat", note)
    shop = Workshop(studio)
    assert shop.runner()._beat(shop, dict.fromkeys((claims[1], claims[2], claims[0]))) == set()
    assert beaten == jobs


def test_a_sweep_that_met_a_cancel_does_not_undo_it(studio: Studio, clock: Clock) -> None:
    (job,) = submit(studio, {})
    with studio.work() as work:
        claim(work)
    clock.advance(LEASE_SECONDS + 1)
    with studio.work() as work:
        assert lifecycle.cancel(work.session, TABLE, job, now=work.clock())
        with studio.work() as other:
            assert sweep(other).requeued == 0
    with studio.work() as work:
        assert sweep(work).requeued == 0
        assert work.session.scalars(select(TABLE.status)).one() == JobStatus.CANCELLED


@dataclass
class Crowd:
    """Threads that do to the same jobs whatever is done to jobs, each in a unit of its own."""

    studio: Studio
    prompts: list[uuid.UUID]
    until: float
    errors: Counter[str] = field(default_factory=Counter)
    acts: Counter[str] = field(default_factory=Counter)
    claims: list[Claim] = field(default_factory=list)

    def run(self, seed: int) -> None:
        chance = random.Random(seed)
        acts: list[Callable[[random.Random], object]] = [
            self.claim_some, self.claim_some, self.beat_some, self.beat_some, self.sweep, self.take_turn,
            self.end_a_row, self.end_one, self.end_one, self.cancel_one, self.delete_prompt,
        ]  # fmt: skip
        while time.monotonic() < self.until:
            act = chance.choice(acts)
            self.acts[act.__name__] += 1
            try:
                act(chance)
            except (ClaimLost, NotFound):
                pass
            except StudioError as error:
                self.errors[f"{act.__name__}: {error.code}"] += 1

    def claim_some(self, _: random.Random) -> None:
        with self.studio.work() as work:
            made = [claim(work) for _ in range(4)]
        self.claims += [c for c in made if c is not None]

    def beat_some(self, chance: random.Random) -> None:
        held = chance.sample(self.claims, min(4, len(self.claims)))
        shop = Workshop(self.studio)
        shop.runner(pace=Pace(lease_seconds=0.05))._beat(
            shop, {claimed: Report(chance.random(), "composing") for claimed in held}
        )

    def take_turn(self, chance: random.Random) -> None:
        held = chance.sample(self.claims, min(4, len(self.claims)))
        with self.studio.work() as work:
            turn = lifecycle.take_turn(
                work.session, TABLE, held, worker="w", now=work.clock(), lease_seconds=LEASE_SECONDS
            )
        self.claims += [turn] if turn is not None and turn not in held else []

    def end_a_row(self, chance: random.Random) -> None:
        """As a take is kept: the prompt first, then its job."""
        if self.claims:
            claimed = chance.choice(self.claims)
            with self.studio.work() as work:
                prompt_id = work.session.scalar(select(TABLE.prompt_id).where(TABLE.id == claimed.job_id))
                if prompt_id is not None:
                    prompts.hold_visibility(work, prompt_id)
                    lifecycle.hold(work.session, TABLE, claimed)
                    lifecycle.end_row(work.session, TABLE, claimed)

    def sweep(self, _: random.Random) -> None:
        with self.studio.work() as work:
            sweep(work)

    def end_one(self, chance: random.Random) -> None:
        if self.claims:
            with self.studio.work() as work:
                lifecycle.finish(work.session, TABLE, chance.choice(self.claims), now=work.clock())

    def cancel_one(self, chance: random.Random) -> None:
        with self.studio.work() as work:
            asked = select(TABLE.id).where(TABLE.status.not_in(FINAL)).order_by(func.random()).limit(1)
            if (job := work.session.scalar(asked)) is not None and chance.random() < 0.3:
                lifecycle.cancel(work.session, TABLE, job, now=work.clock())

    def delete_prompt(self, chance: random.Random) -> None:
        if chance.random() < 0.1:
            with self.studio.work() as work:
                deletion.delete_prompt(work, chance.choice(self.prompts))


def test_whatever_is_done_to_jobs_at_the_same_time_no_two_units_wait_for_each_other(
    studio: Studio, record_figure: RecordFigure
) -> None:
    timed = replace(studio, clock=utc_now)
    for _ in range(12):
        submit(timed, *[{}] * 25)
    with timed.read() as reader:
        made = list(reader.session.scalars(select(Prompt.id)))
    crowd = Crowd(timed, made, until=time.monotonic() + 3)
    threads = [threading.Thread(target=crowd.run, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert dict(crowd.errors) == {}
    assert set(crowd.acts) >= {
        *(
            "claim_some",
            "take_turn",
            "end_a_row",
            "beat_some",
            "sweep",
            "end_one",
            "cancel_one",
            "delete_prompt",
        )
    }
    record_figure("units on the same jobs at the same time", sum(crowd.acts.values()) / 3, "units/s")


def test_eight_who_claim_at_the_same_time_do_each_job_once(
    studio: Studio, record_figure: RecordFigure
) -> None:
    ids = submit(studio, *({"turn_key": f"user {n % 5}", "priority": n % 3} for n in range(120)))

    def work_on(worker: int) -> list[uuid.UUID]:
        done: list[uuid.UUID] = []
        while True:
            with studio.work() as work:
                claimed = claim(work, worker=str(worker))
            if claimed is None:
                return done
            with studio.work() as work:
                lifecycle.finish(work.session, TABLE, claimed, now=work.clock())
            done.append(claimed.job_id)

    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        by_worker = list(pool.map(work_on, range(8)))
    record_figure(
        "jobs that eight threads claimed and ended", len(ids) / (time.monotonic() - began), "jobs/s"
    )
    assert Counter(job for done in by_worker for job in done) == Counter(ids)
    with studio.read() as reader:
        ended = reader.session.execute(select(TABLE.status, TABLE.attempts).distinct())
        assert [tuple(row) for row in ended] == [(JobStatus.SUCCEEDED, 1)]


def test_a_claim_that_looked_before_a_cancel_was_committed_takes_another_job(
    studio: Studio, clock: Clock
) -> None:
    """The row changes between the look and the write: the compare-and-set sees it, as it must."""
    gone, left = submit(studio, {"priority": 1}, {})
    with studio.work() as work:
        work.session.execute(select(TABLE.id))  # its snapshot, if it kept one, is from before
        with studio.work() as other:
            assert lifecycle.cancel(other.session, TABLE, gone, now=clock.now)
        claimed = claim(work)
    assert claimed is not None
    assert claimed.job_id == left


def test_a_beat_waits_for_a_cancel_and_then_hears_of_it(studio: Studio) -> None:
    (job,) = submit(studio, {})
    with studio.work() as work:
        claimed = claim(work)
    assert claimed is not None
    heard = outcome_of_second(
        studio,
        lambda work: lifecycle.cancel(work.session, TABLE, job, now=work.clock()),
        lambda work: beat(work, claimed),
    )
    assert heard is False
    with studio.work() as work:
        work.session.execute(update(TABLE).values(stage="checked"))
        assert work.session.scalars(select(TABLE.status)).one() == JobStatus.CANCELLED
