import pytest
from sqlalchemy import delete, event, select, update

from tests.jobs.workshop import submit
from text2song.db import rows
from text2song.db.base import new_id
from text2song.errors import NotFound
from text2song.generation.tables import GenerationJob
from text2song.studio import Studio

PAST_THE_SESSION = {"synchronize_session": False}
JOBS = rows.Place("generation job", "/generate")


def test_rows_come_in_the_order_of_their_ids_by_one_query(studio: Studio) -> None:
    first, second = submit(studio, {}, {})
    asked: list[str] = []
    event.listen(
        studio.engine,
        "before_cursor_execute",
        lambda *told: asked.append(told[2]) if "SELECT" in told[2] else None,
    )
    with studio.read() as reader:
        found = rows.get_all(reader.session, GenerationJob, [second, first, second], place=JOBS)
        assert rows.get_all(reader.session, GenerationJob, [], place=JOBS) == []
    assert [job.id for job in found] == [second, first, second]
    assert len(asked) == 2


def test_a_row_that_does_not_exist_is_named_with_where_to_look(studio: Studio) -> None:
    (known,) = submit(studio, {})
    absent = new_id()
    with studio.read() as reader:
        assert rows.get(reader.session, GenerationJob, known, place=JOBS).id == known
        with pytest.raises(NotFound, match=f"no generation job {absent}. GET /generate lists"):
            rows.get(reader.session, GenerationJob, absent, place=JOBS)
        with pytest.raises(NotFound, match=str(absent)):
            rows.get_all(reader.session, GenerationJob, [known, absent], place=JOBS)


def test_what_lies_elsewhere_does_not_exist(studio: Studio) -> None:
    first, second = submit(studio, {"priority": 0}, {"priority": 1})
    place = rows.Place("generation job", "/generate", where=GenerationJob.priority == 0)
    with studio.read() as reader:
        assert rows.get(reader.session, GenerationJob, first, place=place).id == first
        rows.require(reader.session, GenerationJob, {first}, place=place)
        for ask in (rows.get_all, rows.require):
            with pytest.raises(NotFound, match=str(second)):
                ask(reader.session, GenerationJob, [first, second], place=place)


def test_only_what_is_wanted_is_a_condition(studio: Studio) -> None:
    first, second = submit(studio, {"status": "failed", "priority": 0}, {"status": "failed", "priority": 1})
    query = select(GenerationJob.id).order_by(GenerationJob.id)

    with studio.read() as reader:
        for status, priority, found in (
            (None, None, [first, second]),
            ("failed", None, [first, second]),
            ("failed", 0, [first]),  # nought is something
            ("queued", 0, []),
        ):
            wanted = {GenerationJob.status: status, GenerationJob.priority: priority}
            assert list(reader.session.scalars(rows.matching(query, wanted))) == found


@pytest.mark.databases("sqlite", "postgresql")
def test_a_row_that_is_locked_is_as_it_is_now_or_gone(studio: Studio) -> None:
    (job_id,) = submit(studio, {})
    with studio.work() as work:
        job = rows.get(work.session, GenerationJob, job_id, place=JOBS)
        work.session.execute(update(GenerationJob).values(priority=3), execution_options=PAST_THE_SESSION)
        rows.lock(work.session, job)
        assert job.priority == 3
        work.session.execute(delete(GenerationJob), execution_options=PAST_THE_SESSION)
        with pytest.raises(NotFound, match="deleted in this very moment"):
            rows.lock(work.session, job)
