"""Two hundred people at two APIs over PostgreSQL, Redis and S3: nobody is refused or left without an answer.

In short, and without a stopwatch: `benchmarks/server.md` has the times.
"""

from pathlib import Path

import pytest

from benchmarks.crowd import run
from benchmarks.deployment import deployed
from benchmarks.server import FROM_S3, PEOPLE, REDIRECT, SUBMIT, WAITING, habits, look_around, plan_of
from tests.figures import RecordFigure
from tests.postgres import INSTALL, programs

SECONDS = 10.0
TAKES = 4


@pytest.mark.slow
def test_two_hundred_people_are_all_answered(tmp_path: Path, record_figure: RecordFigure) -> None:
    if programs() is None:
        pytest.skip(f"PostgreSQL is not installed: {INSTALL}")
    with deployed(tmp_path, history_jobs=2_000) as site:
        known = look_around(site, site.make(jobs=TAKES, seconds=1))
        planned = plan_of(habits(known), seconds=SECONDS, seed=2)
        outcome = run(planned, ports=site.ports, keys=site.admit(PEOPLE))
        log = site.log
    assert len({each.person for each in planned}) == PEOPLE
    assert not outcome.errors
    assert {status for counter in outcome.statuses.values() for status in counter} == {200, 202, 206, 307}
    assert outcome.count == len(planned) + outcome.statuses[REDIRECT][307]
    assert set(outcome.statuses[FROM_S3]) == {200, 206}
    assert outcome.statuses[SUBMIT][202] > 0
    assert outcome.statuses[WAITING][200] > 0
    assert "Traceback" not in log
    assert '"level": "error"' not in log
    record_figure("answers to 200 people, none of them an error", outcome.count, "answers")
