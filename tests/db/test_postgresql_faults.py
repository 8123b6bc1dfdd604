"""What goes wrong with a real PostgreSQL server, and what a person is told of it."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import select, text
from structlog.testing import capture_logs

from tests.databases import wait_for_a_lock
from tests.db.disks import small_disk
from tests.postgres import INSTALL, PASSWORD, USER, PostgreSQL, programs, running
from tests.studios import START
from text2song.blobs.memory import MemoryBlobs
from text2song.db import postgresql as limits
from text2song.db import schema
from text2song.db.engine import open_engine
from text2song.errors import DatabaseBusy, StorageFailed, StorageFull, StudioError
from text2song.jobs.queue import SilentQueue
from text2song.settings import load_settings
from text2song.studio import Studio
from text2song.users.tables import User

DATABASE = "studio"
MAX_CONNECTIONS, KEPT_BACK = 12, 2


@pytest.fixture(scope="module", name="server")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQL]:
    """A server of this module's own: it is stopped, filled and crowded here."""
    if programs() is None:
        pytest.skip(f"PostgreSQL is not installed: {INSTALL}")
    options = (f"max_connections={MAX_CONNECTIONS}", f"superuser_reserved_connections={KEPT_BACK}")
    with running(*options) as server:
        server.run_sql(f"CREATE DATABASE {DATABASE} OWNER {USER}")
        studio = studio_at(server.url(DATABASE))
        schema.upgrade(studio.engine, backups=tmp_path_factory.mktemp("backups"), now=START)
        studio.engine.dispose()
        yield server


def studio_at(url: str) -> Studio:
    return Studio(open_engine(url), MemoryBlobs(), SilentQueue(), load_settings({}))


@pytest.fixture(name="studio")
def open_studio(server: PostgreSQL) -> Iterator[Studio]:
    opened = studio_at(server.url(DATABASE, tcp=True))
    with opened.work() as work:
        work.session.execute(text("DELETE FROM users"))
    yield opened
    opened.engine.dispose()


def names(studio: Studio) -> list[str]:
    with studio.read() as reader:
        return sorted(reader.session.scalars(select(User.name)))


def add(studio: Studio, name: str) -> None:
    with studio.work() as work:
        work.session.add(User(name=name, created_at=START))


def test_a_server_that_is_down_is_told_without_its_address(studio: Studio, server: PostgreSQL) -> None:
    add(studio, "Ada")
    server.stop()
    try:
        for act in (names, lambda studio: add(studio, "Bob")):
            with pytest.raises(StorageFailed, match="cannot be reached") as caught, capture_logs() as logged:
                act(studio)
            assert str(server.port) not in caught.value.message
            assert [str(server.port) in entry["error"] for entry in logged] == [True]
    finally:
        server.start()
    assert names(studio) == ["Ada"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["restart", "crash"])
def test_after_a_restart_no_unit_fails_that_was_not_open(
    studio: Studio, server: PostgreSQL, how: signal.Signals
) -> None:
    """All connections of the pool are broken by then; each would cost a request if it were not looked at."""
    with ExitStack() as held:
        for _ in range(4):
            held.enter_context(studio.engine.connect()).execute(text("SELECT 1"))
    server.restart(signal_number=how)
    for number in range(6):
        add(studio, str(number))
    assert names(studio) == list("012345")


def test_a_unit_that_a_restart_breaks_off_is_told_and_nothing_of_it_is_kept(
    studio: Studio, server: PostgreSQL
) -> None:
    with pytest.raises(StorageFailed, match="Try again in a few seconds"), studio.work() as work:  # noqa: PT012  # the second statement fails
        work.session.add(User(name="Ada", created_at=START))
        work.session.flush()
        server.restart()
        work.session.add(User(name="Bob", created_at=START))
        work.session.flush()
    assert names(studio) == []
    with pytest.raises(StorageFailed, match="Try again in a few seconds"), studio.work() as work:  # noqa: PT012  # the commit fails
        work.session.add(User(name="Ada", created_at=START))
        work.session.flush()
        server.restart()
    assert names(studio) == []


Url = Callable[[PostgreSQL], str]
REFUSALS: dict[str, tuple[Url, str]] = {
    "wrong password": (lambda s: s.url(DATABASE, tcp=True, password="wr0ng"), "check user and password"),
    "no password": (lambda s: s.url(DATABASE, tcp=True).replace(f":{PASSWORD}", ""), "user and password"),
    "no such user": (lambda s: s.url(DATABASE, user="nobody"), "check user and password"),
    "no such database": (lambda s: s.url("elsewhere"), "no database of that name: create it"),
    "nobody there": (lambda _: f"postgresql://me:{PASSWORD}@127.0.0.1:1/{DATABASE}", "cannot be reached"),
    "no such host": (lambda _: f"postgresql://me:{PASSWORD}@absent.invalid/{DATABASE}", "cannot be reached"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_says_what_to_do_and_never_the_password(
    server: PostgreSQL, case: str, capfd: pytest.CaptureFixture[str]
) -> None:
    url, words = REFUSALS[case]
    away = studio_at(url(server))
    with pytest.raises(StorageFailed, match=words) as caught:
        names(away)
    away.engine.dispose()
    said = "".join((caught.value.message, *capfd.readouterr()))
    assert "the database failed" in said
    assert not [secret for secret in (PASSWORD, "wr0ng") if secret in said]


def test_more_connections_than_the_server_has_are_a_matter_of_time(server: PostgreSQL) -> None:
    studio = studio_at(server.url(DATABASE, tcp=True))
    url = server.url(DATABASE).replace("+psycopg", "")
    with ExitStack() as crowd:
        for _ in range(MAX_CONNECTIONS - KEPT_BACK):
            crowd.enter_context(closing(psycopg.connect(url)))
        with pytest.raises(DatabaseBusy, match="as many as it can: try again"):
            names(studio)
    names(studio)
    studio.engine.dispose()


def test_a_statement_that_takes_too_long_is_broken_off(
    server: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STATEMENT_SECONDS", 0.1)
    studio = studio_at(server.url(DATABASE))
    with pytest.raises(DatabaseBusy, match="took too long"), studio.read() as reader:
        reader.session.execute(text("SELECT pg_sleep(20)"))
    names(studio)
    studio.engine.dispose()


def test_a_unit_that_sleeps_with_its_locks_is_broken_off(
    server: PostgreSQL, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "IDLE_SECONDS", 0.1)
    frozen = studio_at(server.url(DATABASE))
    with pytest.raises((DatabaseBusy, StorageFailed)), frozen.work() as work:  # noqa: PT012  # its commit fails
        work.session.add(User(name="Ada", created_at=START))
        work.session.flush()
        add(studio, "Ada")  # waits until the first is broken off
    assert names(studio) == ["Ada"]
    frozen.engine.dispose()


def test_of_two_units_that_wait_for_each_other_one_goes_on(studio: Studio) -> None:
    for name in ("Ada", "Bob"):
        add(studio, name)
    ended: dict[str, StudioError | None] = {}
    both_hold_one = threading.Barrier(2)

    def rename(first: str, second: str) -> None:
        try:
            with studio.work() as work:
                for number, name in enumerate((first, second)):
                    work.session.execute(
                        text("UPDATE users SET created_at = now() WHERE name = :name"), {"name": name}
                    )
                    if number == 0:
                        both_hold_one.wait(20)
            ended[first] = None
        except StudioError as error:
            ended[first] = error

    threads = [threading.Thread(target=rename, args=order) for order in (("Ada", "Bob"), ("Bob", "Ada"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    failed = [error for error in ended.values() if error is not None]
    assert [type(error) for error in failed] == [DatabaseBusy]
    assert failed[0].message == "other work was in the way of this: try again."
    wait_for_nobody(studio)


def wait_for_nobody(studio: Studio) -> None:
    with pytest.raises(AssertionError, match="nobody waits"):
        wait_for_a_lock(studio.engine, limit_seconds=0.1)


def test_a_full_disk_loses_nothing_that_was_told_to_be_kept(server: PostgreSQL, tmp_path: Path) -> None:
    with small_disk(server.folder / "disk", megabytes=16) as disk:
        place = disk / "space"
        place.mkdir()
        os.chown(place, server.folder.stat().st_uid, server.folder.stat().st_gid)
        server.run_sql(
            f"CREATE TABLESPACE small LOCATION '{place}'",
            f"CREATE DATABASE small OWNER {USER} TABLESPACE small TEMPLATE template0",
        )
        studio = studio_at(server.url("small"))
        schema.upgrade(studio.engine, backups=tmp_path, now=START)
        add(studio, "kept")
        filler = disk / "filler"
        subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4096"], check=False, capture_output=True)
        stored: list[str] = []
        with pytest.raises(StorageFull, match=r"disk .* is full.*free some space"):
            add_many(studio, stored)
        assert names(studio) == [*stored, "kept"]
        filler.unlink()
        add(studio, "later")
        assert names(studio) == [*stored, "kept", "later"]
        studio.engine.dispose()
        server.run_sql("DROP DATABASE small WITH (FORCE)", "CHECKPOINT", "DROP TABLESPACE small")


def add_many(studio: Studio, stored: list[str]) -> None:
    """Until an error comes; what was committed by then is in `stored`."""
    for number in range(2000):
        name = f"{number:04}{'.' * 90}"
        add(studio, name)
        stored.append(name)
