"""Machines whose clocks disagree, and one PostgreSQL server that all of them go by."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import structlog

from tests.jobs.workshop import submit
from tests.servers import free_port
from text2song import studio as composition
from text2song.db import clock as clocks
from text2song.db.clock import ServerClock, clock_of
from text2song.db.engine import open_engine
from text2song.generation.tables import GenerationJob
from text2song.jobs import lifecycle
from text2song.jobs.queue import SilentQueue
from text2song.settings import Settings
from text2song.studio import Studio, open_studio, utc_now

HOUR_SECONDS = 3600.0
Machine = Callable[[float], Studio]
"""A studio on a machine whose clock runs ahead by so many seconds."""


@pytest.fixture(name="machine")
def make_machine(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    with ExitStack() as until_the_end:

        def open_ahead(seconds: float) -> Studio:
            monkeypatch.setattr(composition, "utc_now", lambda: utc_now() + dt.timedelta(seconds=seconds))
            opened = open_studio(settings, queue=SilentQueue())
            until_the_end.callback(opened.engine.dispose)
            return opened

        yield open_ahead


def now(studio: Studio) -> dt.datetime:
    with studio.work() as work:
        return work.clock()  # before the unit's first statement, with which it begins


@pytest.mark.databases("postgresql")
@pytest.mark.parametrize("ahead_seconds", [-HOUR_SECONDS, 0.0, HOUR_SECONDS])
def test_all_go_by_the_server(machine: Machine, ahead_seconds: float) -> None:
    shown = now(machine(ahead_seconds))
    assert abs((shown - utc_now()).total_seconds()) < 5
    assert shown.tzinfo is dt.UTC


@pytest.mark.databases("postgresql")
def test_nobody_takes_a_job_from_a_machine_whose_clock_is_wrong(machine: Machine) -> None:
    right, ahead = machine(0.0), machine(HOUR_SECONDS)
    submit(right, {}, {})
    for holder, other in ((right, ahead), (ahead, right)):
        with holder.work() as work:
            claim = lifecycle.claim(
                work.session, GenerationJob, worker="w", now=work.clock(), lease_seconds=60
            )
        assert claim is not None
        with other.work() as work:
            assert lifecycle.sweep(work.session, GenerationJob, now=work.clock()).requeued == 0


@pytest.mark.databases("sqlite")
def test_the_processes_of_one_machine_have_its_clock(machine: Machine) -> None:
    shown = now(machine(HOUR_SECONDS))
    assert abs((shown - utc_now()).total_seconds() - HOUR_SECONDS) < 5


@pytest.mark.databases("postgresql")
def test_the_server_is_asked_once_a_second_or_when_the_machines_clock_was_set(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = dt.timedelta()
    monkeypatch.setattr(clocks, "LOOK_SECONDS", 60.0)
    engine = open_engine(settings.database)
    clock = clock_of(engine, local=lambda: utc_now() + ahead)
    assert isinstance(clock, ServerClock)

    def look() -> object:
        clock()
        with engine.begin():
            return clock._look

    first = look()
    assert look() is first
    ahead = dt.timedelta(seconds=-HOUR_SECONDS)
    second = look()
    assert second is not first
    assert look() is second
    monkeypatch.setattr(clocks, "LOOK_SECONDS", 0.0)
    assert look() is not second
    engine.dispose()


@pytest.mark.databases("postgresql")
def test_without_a_server_the_machines_own_clock_must_do() -> None:
    machine_shows = utc_now()
    engine = open_engine(f"postgresql://me@127.0.0.1:{free_port()}/studio")
    assert clock_of(engine, local=lambda: machine_shows)() == machine_shows
    engine.dispose()


@pytest.mark.databases("postgresql")
def test_time_goes_on_while_the_server_is_not_asked(machine: Machine) -> None:
    studio = machine(HOUR_SECONDS)
    before = now(studio)
    assert before < studio.clock() < before + dt.timedelta(seconds=5)


@pytest.mark.databases("postgresql")
def test_an_operator_hears_once_that_a_clock_is_wrong(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clocks, "LOOK_SECONDS", 0.0)
    with structlog.testing.capture_logs() as told:
        studio = machine(HOUR_SECONDS)
        for _ in range(3):
            now(studio)
    [entry] = [entry for entry in told if "clock" in entry["event"]]
    assert round(entry["ahead_seconds"]) == HOUR_SECONDS


@pytest.mark.databases("postgresql")
def test_an_answer_that_took_long_is_not_believed_where_there_is_an_earlier_one(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clocks, "STEP_SECONDS", -1.0)  # no answer is quick enough, and the clock in doubt
    studio = machine(HOUR_SECONDS)
    assert abs((now(studio) - utc_now()).total_seconds()) < 5
    assert isinstance(studio.clock, ServerClock)
    first = studio.clock._look
    now(studio)
    assert studio.clock._look is first
