"""What differs on PostgreSQL: tried where a server is given, since the studio's own tests need none.

    TEST_POSTGRESQL_URL=postgresql+psycopg://me@127.0.0.1/spare .venv/bin/pytest -m postgresql

The database must be there for nothing else: its tables are dropped.
"""

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import InternalError

from tests.audio.samples import delete, keep, make_sample, record_tone, stored_keys
from tests.studios import START, Clock, noise_info
from text2song.audio import cleaning, service
from text2song.audio.tables import AudioSample, DoomedBlob
from text2song.blobs.local import LocalBlobs
from text2song.db import schema
from text2song.db.engine import open_engine, write_session
from text2song.db.registry import metadata
from text2song.errors import StorageFailed
from text2song.jobs.queue import SilentQueue
from text2song.models import service as models
from text2song.settings import load_settings
from text2song.studio import Studio, Work
from text2song.users.tables import User

URL = os.environ.get("TEST_POSTGRESQL_URL", "")
pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.skipif(not URL, reason="no server to try: set TEST_POSTGRESQL_URL to a spare one"),
]
GRACE_SECONDS = service.GRACE.total_seconds()


@pytest.fixture(name="studio")
def open_studio(tmp_path: Path, clock: Clock) -> Iterator[Studio]:
    engine = open_engine(URL)
    tables = metadata()
    with write_session(engine) as session, session.begin():
        tables.drop_all(session.connection())
        session.execute(text("DROP TABLE IF EXISTS alembic_version"))
    schema.upgrade(engine, backups=tmp_path, now=START)
    yield Studio(engine, LocalBlobs(tmp_path / "blobs"), SilentQueue(), load_settings({}), clock)
    engine.dispose()


@pytest.mark.parametrize(
    "statement", ["DELETE FROM users", "DROP TABLE users", "SELECT * FROM users FOR UPDATE"]
)
def test_the_server_itself_refuses_what_a_reader_writes_past_the_orm(studio: Studio, statement: str) -> None:
    with studio.work() as work:
        work.session.add(User(name="Bob", created_at=START))
    with pytest.raises(InternalError, match="read-only transaction"), studio.read() as reader:
        reader.session.execute(text(statement))
    with studio.work() as work:  # on the very connection that refused
        work.session.add(User(name="Ada", created_at=START))
    with studio.read() as reader:
        assert len(reader.session.scalars(select(User)).all()) == 2


def test_a_server_that_is_not_there_is_told_without_its_address(studio: Studio) -> None:
    away = open_engine("postgresql+psycopg://studio@127.0.0.1:1/studio")
    with (
        pytest.raises(StorageFailed, match="cannot be reached") as caught,
        replace(studio, engine=away).read() as r,
    ):
        r.session.execute(text("SELECT 1"))
    assert "127.0.0.1" not in caught.value.message


def test_long_words_of_a_model_are_stored(studio: Studio) -> None:
    info = replace(noise_info(), id="m" * 200, license="See the licence. " * 100, revision="r" * 200)
    with studio.work() as work:
        models.announce(work, info, worker="w" * 128, capacity=8)


def wait_for_a_lock(studio: Studio) -> None:
    """Until some unit waits for another's row."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with studio.read() as reader:
            if reader.session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits")


def due_bytes(studio: Studio, clock: Clock) -> str:
    """The key of the sound of a sample that was deleted an hour ago."""
    sample = make_sample(studio)
    delete(studio, sample)
    clock.advance(GRACE_SECONDS)
    return sample.storage_path


def test_the_reaper_waits_for_a_row_that_is_being_written(studio: Studio, clock: Clock) -> None:
    due_bytes(studio, clock)
    reaped: list[int] = []
    reaper = threading.Thread(target=lambda: reaped.append(cleaning.reap(studio)))
    with studio.work() as work:
        keep(work, record_tone(studio.blobs))
        reaper.start()
        wait_for_a_lock(studio)
        assert len(stored_keys(studio)) == 3
    reaper.join(20)
    assert reaped == [0]
    assert len(stored_keys(studio)) == 3


def test_the_reaper_goes_on_where_that_row_is_not_written_after_all(studio: Studio, clock: Clock) -> None:
    due_bytes(studio, clock)
    reaped: list[int] = []
    reaper = threading.Thread(target=lambda: reaped.append(cleaning.reap(studio)))
    with pytest.raises(ZeroDivisionError), studio.work() as work:
        _keep_and_fail(work, studio, reaper)
    reaper.join(20)
    assert (reaped, stored_keys(studio)) == ([3], set())


def _keep_and_fail(work: Work, studio: Studio, reaper: threading.Thread) -> None:
    keep(work, record_tone(studio.blobs))
    reaper.start()
    wait_for_a_lock(studio)
    raise ZeroDivisionError


def test_a_row_waits_for_the_reaper_and_then_finds_its_bytes_gone(
    studio: Studio, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = due_bytes(studio, clock)
    refused: list[StorageFailed] = []

    def store() -> None:
        try:
            with studio.work() as work:
                keep(work, recording)
        except StorageFailed as error:
            refused.append(error)

    recording = record_tone(studio.blobs)
    writer = threading.Thread(target=store)
    remove = studio.blobs.delete

    def let_the_writer_come(key: str) -> None:
        if key == sound:
            writer.start()
            wait_for_a_lock(studio)
        remove(key)

    monkeypatch.setattr(studio.blobs, "delete", let_the_writer_come)
    assert cleaning.reap(studio) >= 1
    writer.join(20)
    assert "removed before its row" in refused[0].message
    with studio.read() as reader:
        assert reader.session.scalars(select(AudioSample)).all() == []


def test_threads_that_store_and_reap_the_same_bytes_never_leave_a_row_without_them(
    studio: Studio, clock: Clock
) -> None:
    for _ in range(12):
        due_bytes(studio, clock)
        reapers = [threading.Thread(target=cleaning.reap, args=(studio,)) for _ in range(2)]
        for reaper in reapers:
            reaper.start()
        try:
            make_sample(studio)
        except StorageFailed:  # a reaper was first
            for reaper in reapers:
                reaper.join()
            make_sample(studio)
        for reaper in reapers:
            reaper.join()
        with studio.read() as reader:
            sample = reader.session.scalars(select(AudioSample)).one()
        for key in (sample.storage_path, sample.peaks_path, sample.codes_path):
            studio.blobs.read(key, verify=True)
        delete(studio, sample)
        clock.advance(GRACE_SECONDS)
        cleaning.reap(studio)
        with studio.read() as reader:
            assert reader.session.scalars(select(DoomedBlob)).all() == []
        assert stored_keys(studio) == set()
