"""No read and no act of a worker looks at all rows of what grows for ever.

The plans of every statement beside a history of 30,000 jobs; `benchmarks/database.md` shows the times beside
a million.
"""

from dataclasses import replace

import pytest

from benchmarks.database import BIG, NOW, WHOLE_TABLE, measure
from benchmarks.filling import fill
from text2song.studio import Studio

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
