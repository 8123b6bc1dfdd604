"""No read and no act of a worker looks at all rows of what grows for ever.

The plans of every statement beside a history of 30,000 jobs; `benchmarks/database.md` shows the times beside
a million.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import get_args

import pytest
from sqlalchemy import Engine, update

from benchmarks.database import BIG, NOW, WHOLE_TABLE, Measured, measure, watched
from benchmarks.filling import fill
from tests.users.people import add_person
from text2song.actors import Actor
from text2song.generation import queries, quotas
from text2song.generation.schemas import Status
from text2song.generation.tables import GenerationJob
from text2song.prompts.tables import Prompt
from text2song.studio import Studio, Work
from text2song.users.ownership import Visibility

JOBS = 30_000
LISTS = (
    "GET /generate",
    "GET /generate?status=succeeded",
    "GET /generate?status=failed (1 of 1,000)",
    "GET /prompts",
    "GET /audio",
    "GET /audio?adapter_id= (half of them)",
)
"""One page each of what may be all rows: in the order of an index, so that no others are read and sorted."""

OF_A_PROMPT = {
    "GET /generate?prompt_id= (500, long ago)": "_prompt_id_",
    "GET /generate?prompt_id=&status=succeeded (500, long ago)": "_prompt_id_",
    "GET /audio?prompt_id=&adapter_id= (250, long ago)": "_prompt_id_",
}
"""By an index that begins with the prompt: one prompt has few, one adapter or status perhaps half of all."""


@pytest.mark.databases("sqlite", "postgresql")
def test_no_statement_reads_a_whole_table(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.database.TIMES", 1)
    fill(studio.engine, jobs_before=0, jobs=JOBS)
    measured = measure(replace(studio, clock=lambda: NOW), JOBS)
    assert len(measured.plans) == 23
    whole = {
        (name, match.group(1) or match.group(2))
        for name, plans in measured.plans.items()
        for plan in plans
        for match in WHOLE_TABLE.finditer("\n".join(plan))
    }
    assert {table for _, table in whole} <= set(BIG)
    # of words that few prompts hold, or none; of a few thousand prompts that is the quickest way
    assert {name for name, table in whole} <= {
        "GET /prompts?q=zither (1 of 1,000)",
        "GET /prompts?q=absent",
    }, whole
    for name, index in OF_A_PROMPT.items():
        assert index in "\n".join(measured.plans[name][0]), (name, measured.plans[name][0])
    for name in (*LISTS, *OF_A_PROMPT):
        first = "\n".join(measured.plans[name][0])
        assert "Sort" not in first, (name, first)
        assert "TEMP B-TREE" not in first, (name, first)


JOBS_OF_ONE = 10_000
OF_ONE_STATUS = ("ix_generation_jobs_user_id_status_id", "ix_generation_jobs_visibility_status_id")
OF_ANY_STATUS = ("ix_generation_jobs_user_id_id", "ix_generation_jobs_visibility_id")
THE_DAY_S_JOBS = re.compile(r"user_id=\? AND id>\?|Index Cond: .*\bid >= ")
SHARES = {"quota_queued_jobs": 10**6, "quota_minutes_a_day": 10**6, "quota_storage_bytes": 10**15}


@pytest.mark.databases("sqlite", "postgresql")
def test_whoever_sees_nearly_all_walks_over_no_other_than_what_is_asked_for(studio: Studio) -> None:
    """One job in a thousand failed: without an index for that, SQLite looked at all to find them."""
    settings = studio.settings.model_copy(update=SHARES)
    studio = replace(studio, clock=lambda: NOW, settings=settings)
    fill(studio.engine, jobs_before=0, jobs=JOBS_OF_ONE)
    ada = add_person(studio, "Ada")
    for owned_or_shared in (
        update(GenerationJob).values(user_id=ada.user_id),
        update(Prompt).values(visibility=Visibility.SHARED),
    ):
        with studio.work() as work:
            work.session.execute(owned_or_shared)
        look_again(studio.engine)
        for status in (None, *get_args(Status)):
            plan = plan_of(studio, ada, partial(list_jobs, status=status))
            assert not WHOLE_TABLE.search(plan), plan
            for index in OF_ONE_STATUS if status else OF_ANY_STATUS:
                assert f"{index} " in plan, (status, plan)
        share = plan_of(studio, ada, partial(quotas.require_share, user_id=ada.user_id, seconds=8))
        assert THE_DAY_S_JOBS.search(share), share
        assert not WHOLE_TABLE.search(share), share


def look_again(engine: Engine) -> None:
    """As autovacuum does within a minute."""
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")


def list_jobs(work: Work, *, status: Status | None) -> object:
    return queries.find(work, status=status, prompt_id=None, cursor=None, limit=50)


def plan_of(studio: Studio, actor: Actor, act: Callable[[Work], object]) -> str:
    measured = Measured(JOBS_OF_ONE)
    with studio.work(actor) as work, watched(studio.engine, measured, "act"):
        act(work)
    assert measured.plans["act"]
    return "\n".join(line for plan in measured.plans["act"] for line in plan)
