"""The reaper beside a unit that keeps the same bytes, on a server where both may wait for one row."""

import threading

import pytest
from sqlalchemy import select

from tests.audio.samples import delete, keep, make_sample, record_tone, stored_keys
from tests.databases import wait_for_a_lock
from tests.studios import Clock
from text2song.audio import cleaning, service
from text2song.audio.tables import AudioSample, DoomedBlob
from text2song.errors import StorageFailed
from text2song.studio import Studio, Work

pytestmark = pytest.mark.databases("postgresql")
GRACE_SECONDS = service.GRACE.total_seconds()


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
        wait_for_a_lock(studio.engine)
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
    wait_for_a_lock(studio.engine)
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
            wait_for_a_lock(studio.engine)
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
