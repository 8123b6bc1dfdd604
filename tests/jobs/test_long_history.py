"""What the queue asks beside twenty thousand jobs that are over: by which plans, and for how long."""

import random
import sqlite3
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert

from tests.figures import RecordFigure
from tests.jobs.test_order import TABLE, moment
from tests.rows import MODEL, add_prompt, job_of
from tests.studios import START, furnish
from text2song.db.base import new_id
from text2song.generation.tables import GenerationJob
from text2song.jobs import lifecycle
from text2song.jobs.columns import JobStatus
from text2song.jobs.order import places
from text2song.jobs.queue import SilentQueue
from text2song.studio import Studio, open_studio

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
        held = [claim]
        lifecycle.take_turn(
            work.session, TABLE, held, worker="w", now=START, lease_seconds=15, where=TABLE.model == MODEL
        )
        places(work.session, TABLE, busy.waiting, where=TABLE.model == MODEL, now=START)
        lifecycle.sweep(work.session, TABLE, now=START)
        lifecycle.release(work.session, TABLE, claim)
    event.remove(busy.studio.engine, "before_cursor_execute", note)

    statements = [(sql, values) for sql, values in asked if "generation_jobs" in sql]
    assert len(statements) == 14
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
