import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import IntegrityError

from tests.studios import START, Clock, ListeningQueue
from text2song.actors import NOBODY, Actor
from text2song.db import engine as engines
from text2song.db.engine import open_engine
from text2song.errors import DatabaseBusy, InvalidInput, InvalidSetting, StorageFailed, StudioError
from text2song.jobs.queue import SilentQueue
from text2song.settings import load_settings
from text2song.studio import Reader, Studio, Work, open_studio, utc_now
from text2song.users.tables import User


def add(work: Work, name: str) -> None:
    work.session.add(User(name=name, created_at=START))
    work.session.flush()


def names(studio: Studio) -> list[str]:
    with studio.read() as reader:
        return list(reader.session.scalars(select(User.name).order_by(User.name)))


def fail(studio: Studio, error: Exception) -> None:
    with studio.work() as work:
        add(work, "Ada")
        work.ring("generation")
        raise error


def test_a_unit_is_committed_at_its_end_and_then_the_bells_ring(
    studio: Studio, bells: ListeningQueue
) -> None:
    with studio.work() as work:
        add(work, "Ada")
        work.ring("generation")
        work.ring("export")
        work.ring("generation")
        assert bells.rung == []
        assert names(studio) == []
    assert bells.rung == ["generation", "export"]  # each kind once
    assert names(studio) == ["Ada"]


def test_whoever_hears_a_bell_finds_what_it_rang_for(studio: Studio) -> None:
    found: list[list[str]] = []

    class Looking:
        def ring(self, kind: str) -> None:
            del kind
            found.append(names(studio))

    with replace(studio, queue=Looking()).work() as work:
        add(work, "Ada")
        work.ring("generation")
    assert found == [["Ada"]]


@pytest.mark.parametrize("error", [InvalidInput("no"), ZeroDivisionError(), KeyboardInterrupt()])
def test_an_error_takes_everything_back_and_drops_the_bells(
    studio: Studio, bells: ListeningQueue, error: Exception
) -> None:
    with pytest.raises(type(error)):
        fail(studio, error)
    assert names(studio) == []
    assert bells.rung == []


def add_ghost(work: Work) -> None:
    """A row that only the commit finds fault with: its user does not exist."""
    work.session.execute(text("PRAGMA defer_foreign_keys = ON"))
    work.session.execute(
        text(
            "INSERT INTO prompts (id, text, attributes, words, created_at, user_id) "
            "VALUES (:id, '', '{}', '', '2026-01-01 00:00:00.000000', :id)"
        ),
        {"id": "0" * 31 + "1"},
    )
    work.ring("generation")


@pytest.mark.databases("sqlite")
def test_a_commit_that_fails_rings_nothing(studio: Studio, bells: ListeningQueue) -> None:
    reached_the_end = False
    with pytest.raises(IntegrityError), studio.work() as work:  # noqa: PT012  # the end of the unit fails
        add_ghost(work)
        reached_the_end = True
    assert reached_the_end
    assert bells.rung == []


@pytest.mark.databases("sqlite")
def test_a_reader_has_no_way_to_write_or_ring(studio: Studio) -> None:
    assert not hasattr(Reader, "ring")
    with studio.read() as reader, pytest.raises(RuntimeError, match="take a Work"):
        reader.session.execute(insert(User).values(name="Ada", created_at=START))
    with pytest.raises(StorageFailed), studio.read() as reader:
        reader.session.execute(text("DELETE FROM users"))
    assert names(studio) == []


def test_what_was_read_can_be_looked_at_after_its_unit(studio: Studio) -> None:
    with studio.work() as work:
        add(work, "Ada")
    with studio.read() as reader:
        user = reader.session.scalars(select(User)).one()
    with studio.work() as work:
        written = work.session.scalars(select(User)).one()
    assert (user.name, written.name) == ("Ada", "Ada")


def test_a_unit_knows_who_when_and_where(studio: Studio, clock: Clock) -> None:
    ada = Actor()
    with studio.read(ada) as reader, studio.work() as work:
        assert reader.actor is ada
        assert work.actor is NOBODY
        assert reader.clock() == work.clock() == clock.now
        assert work.blobs is studio.blobs
        assert work.settings is studio.settings
        with pytest.raises(FrozenInstanceError):
            work.actor = ada  # type: ignore[misc]  # the point of the test


def test_a_reader_inside_a_unit_sees_the_state_before_it(studio: Studio) -> None:
    with studio.work() as work:
        add(work, "Ada")
        assert names(studio) == []
        assert work.session.scalar(select(func.count()).select_from(User)) == 1


def test_a_unit_inside_a_reader_does_not_change_what_the_reader_sees(studio: Studio) -> None:
    with studio.read() as reader:
        count = select(func.count()).select_from(User)
        assert reader.session.scalar(count) == 0
        with studio.work() as work:
            add(work, "Ada")
        assert reader.session.scalar(count) == 0
    assert names(studio) == ["Ada"]


def test_a_savepoint_takes_back_its_own_part(studio: Studio) -> None:
    with studio.work() as work:
        add(work, "Ada")
        with pytest.raises(IntegrityError), work.session.begin_nested():
            add(work, "Ada")
        add(work, "Bob")
    assert names(studio) == ["Ada", "Bob"]


@pytest.mark.databases("sqlite")
def test_a_unit_inside_a_unit_is_refused_by_the_database_and_loses_nothing(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.1)
    impatient = replace(studio, engine=open_engine(studio.settings.database))
    with impatient.work() as work:
        add(work, "Ada")
        with pytest.raises(DatabaseBusy):
            _add_one(impatient, "Bob")
    assert names(studio) == ["Ada"]
    impatient.engine.dispose()


def test_a_unit_holds_no_lock_before_its_first_statement(studio: Studio) -> None:
    with studio.work():
        _add_one(studio, "Ada")
    assert names(studio) == ["Ada"]


@pytest.mark.databases("sqlite")
def test_eight_threads_of_units_that_read_and_then_write(studio: Studio) -> None:
    errors: list[Exception] = []

    def count_up() -> None:
        try:
            for _ in range(10):
                with studio.work() as work:
                    number = work.session.scalar(select(func.count()).select_from(User)) or 0
                    time.sleep(0.001)
                    add(work, f"{number:03}")
        except StudioError as error:
            errors.append(error)

    threads = [threading.Thread(target=count_up) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert names(studio) == [f"{number:03}" for number in range(80)]


def test_the_wall_clock_is_in_utc() -> None:
    assert str(utc_now().tzinfo) == "UTC"


def test_a_studio_opens_what_its_settings_name(tmp_path: Path) -> None:
    settings = load_settings({"TEXT2SONG_HOME": str(tmp_path / "a home" / "of mine")})
    studio = open_studio(settings, queue=SilentQueue())
    assert studio.engine.url.database == str(settings.home / "studio.db")
    assert (settings.home / "blobs").is_dir()
    with closing(sqlite3.connect(settings.home / "studio.db")) as database:
        assert database.execute("SELECT 1").fetchone() == (1,)
    assert studio.clock is utc_now
    studio.engine.dispose()


@pytest.mark.parametrize(
    ("variables", "error", "words"),
    [
        (lambda file: {"HOME": f"{file}/home"}, StorageFailed, "choose another TEXT2SONG_HOME"),
        (lambda _: {"DATABASE_URL": "mysql://here"}, InvalidSetting, "use sqlite:///"),
        (lambda _: {"BLOBS_URL": "ftp://here"}, InvalidSetting, "use file:///"),
        (lambda file: {"BLOBS_URL": f"file://{file}/blobs"}, StorageFailed, "file"),
    ],
)
def test_what_cannot_be_opened_is_told(
    tmp_path: Path, variables: Callable[[Path], dict[str, str]], error: type[StudioError], words: str
) -> None:
    file = tmp_path / "file"
    file.touch()
    given = {"HOME": str(tmp_path / "home"), **variables(file)}
    settings = load_settings({f"TEXT2SONG_{name}": value for name, value in given.items()})
    with pytest.raises(error, match=words):
        open_studio(settings, queue=SilentQueue())


def _add_one(studio: Studio, name: str) -> None:
    with studio.work() as work:
        add(work, name)
