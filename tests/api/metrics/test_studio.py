"""What the numbers say of a studio, against what is in it."""

import datetime as dt
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event

from tests.audio.samples import make_sample
from tests.figures import ROOT
from tests.rows import add_prompt, job_of
from tests.studios import Clock, Desk, noise_info
from text2song.api.metrics import kept
from text2song.api.metrics.studio import JOB_TABLES
from text2song.db.base import Base
from text2song.jobs.columns import JobColumns
from text2song.models import service as models
from text2song.names import NOISE_MODEL
from text2song.studio import Studio

pytestmark = pytest.mark.databases("sqlite", "postgresql")


def numbers(desk: Desk) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(desk.client.get("/metrics").raise_for_status().text)
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
        if sample.name.startswith("text2song_")
    }


def put_jobs(studio: Studio, **states: int) -> None:
    with studio.work() as work:
        prompt_id = add_prompt(work.session)
        for status, number in states.items():
            work.session.add_all(
                job_of(
                    prompt_id, status=status, model=NOISE_MODEL, rows=4, rows_begun=3 * (status == "running")
                )
                for _ in range(number)
            )


def test_jobs_are_told_by_state(desk: Desk, clock: Clock) -> None:
    clock.advance(90)
    put_jobs(desk.studio, queued=2, running=1, succeeded=4, failed=3, cancelled=5)
    with desk.studio.work() as work:
        late = job_of(add_prompt(work.session), not_before=clock.now + dt.timedelta(seconds=1))
        work.session.add(late)
    found = numbers(desk)
    states = {key[2]: value for key, value in found.items() if key[0] == "text2song_jobs"}
    assert states == {
        "waiting": 2, "delayed": 1, "running": 1, "succeeded": 4, "failed": 3, "cancelled": 5,
    }  # fmt: skip
    assert found[("text2song_oldest_waiting_job_seconds", "generation")] == 90


def test_failed_jobs_are_told_by_their_errors(desk: Desk) -> None:
    with desk.studio.work() as work:
        prompt_id = add_prompt(work.session)
        work.session.add_all(
            job_of(prompt_id, status="failed", error_code="storage_failed") for _ in range(2)
        )
    assert numbers(desk)[("text2song_failed_jobs", "storage_failed", "generation")] == 2


def test_models_are_told_with_their_workers_and_how_full_they_are(desk: Desk) -> None:
    put_jobs(desk.studio, running=2)
    with desk.studio.work() as work:
        second = models.announce(work, noise_info(), worker="second", capacity=4)
        models.beat(work, second, speed=2.5)
        models.leave(work, models.announce(work, noise_info(), worker="gone", capacity=100))
    found = numbers(desk)
    assert found[("text2song_workers", NOISE_MODEL)] == 2
    assert found[("text2song_capacity_rows", NOISE_MODEL)] == 12
    assert found[("text2song_running_rows", NOISE_MODEL)] == 6
    assert found[("text2song_frames_per_second", NOISE_MODEL)] == 2.5 * 50


def test_a_model_that_nobody_serves_is_not_told(desk: Desk, clock: Clock) -> None:
    clock.advance(60)
    assert not [key for key in numbers(desk) if key[0] == "text2song_workers"]


def test_samples_are_told_with_their_bytes(desk: Desk) -> None:
    made = [make_sample(desk.studio, seed=seed) for seed in range(2)]
    found = numbers(desk)
    assert found[("text2song_samples",)] == 2
    assert found[("text2song_samples_bytes",)] == sum(sample.size_bytes for sample in made)
    assert found[("text2song_samples_audio_seconds",)] == 1.0


@pytest.mark.databases("sqlite")
def test_many_scrapes_are_one_look(desk: Desk) -> None:
    statements: list[str] = []
    event.listen(desk.studio.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    numbers(desk)
    first = len(statements)
    assert first < 15
    for _ in range(20):
        numbers(desk)
    assert len(statements) == first


@pytest.mark.databases("sqlite")
def test_what_is_open_is_read_by_an_index(desk: Desk) -> None:
    put_jobs(desk.studio, succeeded=5, queued=1)
    plans: list[str] = []

    def explain(*given: object) -> None:
        _, cursor, statement, values = given[:4]
        if "generation_jobs" in str(statement) and "EXPLAIN" not in str(statement):
            plan = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)  # type: ignore[attr-defined]  # sqlite3's
            plans.extend(row[3] for row in plan if "generation_jobs" in row[3])

    event.listen(desk.studio.engine, "after_cursor_execute", explain)
    numbers(desk)
    assert len(plans) >= 4
    assert all(plan.startswith("SEARCH generation_jobs USING") and "status" in plan for plan in plans), plans


@pytest.mark.databases("sqlite")
def test_a_database_that_does_not_answer_is_told_beside_the_rest(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "LIVE_SECONDS", 0.0)
    monkeypatch.setattr(kept, "SHARE", 1e9)
    assert numbers(desk)[("text2song_database_up",)] == 1
    path = desk.studio.settings.home / "studio.db"
    path.rename(path.with_suffix(".away"))
    found = numbers(desk)
    assert found[("text2song_database_up",)] == 0
    assert ("text2song_http_requests_total", "GET", "/metrics", "200") in found
    assert not [key for key in found if key[0] == "text2song_jobs"]
    path.with_suffix(".away").rename(path)
    assert numbers(desk)[("text2song_database_up",)] == 1


def test_every_kind_of_job_is_counted() -> None:
    tables = {m.class_ for m in Base.registry.mappers if issubclass(m.class_, JobColumns)}
    assert set(JOB_TABLES.values()) == tables


@pytest.mark.databases("sqlite")
def test_every_number_is_in_the_documentation(desk: Desk) -> None:
    page = (ROOT / "docs" / "how-to" / "monitoring.md").read_text()
    desk.client.get("/nothing")
    text = desk.client.get("/metrics").text
    told = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE text2song_")}
    told = {name for name in told if not name.endswith("_created")}
    assert set(re.findall(r"^\| `(text2song_\w+)`", page, flags=re.MULTILINE)) == told
    named = set(re.findall(r"\btext2song_[a-z_]+", page))
    assert {name.removesuffix("_bucket") for name in named} - {"text2song_"} == told
