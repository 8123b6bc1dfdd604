import datetime as dt
import sqlite3
from contextlib import closing
from typing import Any

from sqlalchemy import event

from tests.jobs.workshop import submit
from tests.rows import MODEL
from tests.studios import START
from text2song.generation.tables import KIND, GenerationJob
from text2song.jobs.depth import Depth, depth, depths
from text2song.studio import Studio


def ago(seconds: float) -> dt.datetime:
    return START - dt.timedelta(seconds=seconds)


def test_an_empty_queue_has_no_depth_and_no_age(studio: Studio) -> None:
    with studio.read() as reader:
        found = depths(reader.session, {KIND: GenerationJob}, now=START)
    assert found == {KIND: Depth(waiting=0, delayed=0, running=0, oldest_waiting_seconds=0.0)}


def test_open_jobs_are_counted_by_what_they_wait_for(studio: Studio) -> None:
    submit(
        studio,
        {"created_at": ago(20)},
        {"created_at": ago(50), "not_before": ago(1)},  # its pause is over
        {"created_at": ago(300), "not_before": ago(-5)},
        {"created_at": ago(400), "status": "running"},
        {"created_at": ago(500), "status": "running"},
        {"created_at": ago(600), "status": "succeeded"},
        {"created_at": ago(700), "status": "failed"},
        {"created_at": ago(90), "model": "another/model"},
    )
    with studio.read() as reader:
        found = depth(reader.session, GenerationJob, now=START)
        narrowed = depth(reader.session, GenerationJob, now=START, where=GenerationJob.model == MODEL)
    assert found == Depth(waiting=3, delayed=1, running=2, oldest_waiting_seconds=90.0)
    assert narrowed == Depth(waiting=2, delayed=1, running=2, oldest_waiting_seconds=50.0)


def test_a_clock_that_was_set_back_shows_no_negative_age(studio: Studio) -> None:
    submit(studio, {"created_at": ago(-60)})
    with studio.read() as reader:
        assert depth(reader.session, GenerationJob, now=START).oldest_waiting_seconds == 0.0


def test_what_was_ever_made_is_not_read(studio: Studio) -> None:
    asked: list[tuple[str, Any]] = []

    @event.listens_for(studio.engine, "before_cursor_execute")
    def note(*arguments: Any) -> None:  # noqa: ANN401  # SQLAlchemy's: connection, cursor, statement, parameters
        asked.append(arguments[2:4])

    with studio.read() as reader:
        depth(reader.session, GenerationJob, now=START)
    statements = [(sql, values) for sql, values in asked if "generation_jobs" in sql]
    assert statements
    with closing(sqlite3.connect(studio.settings.home / "studio.db")) as database:
        for sql, values in statements:
            plan = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
            assert all(step.startswith("SEARCH") and "(status=?" in step for step in plan), plan
