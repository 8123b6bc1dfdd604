"""Reaping where the bytes are in a bucket, which may be away."""

import datetime as dt
from dataclasses import replace

import pytest
from sqlalchemy import select

from tests.audio.samples import delete, make_sample, stored_keys
from tests.audio.write_units import write_units_timed
from tests.object_store import LIST_PAGE, ObjectStore
from tests.studios import Clock
from text2song.audio import cleaning, service
from text2song.audio.tables import DoomedBlob
from text2song.studio import Studio

GRACE_SECONDS = service.GRACE.total_seconds()


def in_bucket(studio: Studio, server: ObjectStore) -> Studio:
    return replace(studio, blobs=server.open())


def test_in_a_bucket_bytes_go_and_orphans_are_found_behind_the_first_page(
    studio: Studio, clock: Clock, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.now = dt.datetime.now(dt.UTC)  # the server's own clock says when bytes were stored
    bucket = in_bucket(studio, object_store)
    deleted = make_sample(bucket, seed=1)
    kept = make_sample(bucket, seed=2)
    needed = {kept.storage_path, kept.peaks_path, kept.codes_path}
    for number in range(LIST_PAGE + 10):
        bucket.blobs.put(b"left by a killed worker %d" % number, folder="audio", suffix=".flac")
    delete(bucket, deleted)
    monkeypatch.setattr(cleaning, "REAP_LIMIT", 1000)

    assert sum(cleaning.doom_orphans(bucket)) == 0  # too young
    clock.advance(GRACE_SECONDS + 60)
    assert sum(cleaning.doom_orphans(bucket)) == LIST_PAGE + 10
    assert cleaning.reap(bucket) == 3
    clock.advance(GRACE_SECONDS)
    assert cleaning.reap(bucket) == LIST_PAGE + 10
    assert stored_keys(bucket) == needed
    with bucket.read() as reader:
        assert reader.session.scalars(select(DoomedBlob.key)).all() == []


def test_a_dead_storage_keeps_no_writer_waiting(
    studio: Studio, clock: Clock, mortal_object_store: ObjectStore
) -> None:
    bucket = in_bucket(studio, mortal_object_store)
    delete(bucket, make_sample(bucket))
    clock.advance(GRACE_SECONDS)
    mortal_object_store.kill()

    with write_units_timed(studio.engine) as held:
        assert cleaning.reap(bucket) == 0
    assert held == []

    mortal_object_store.start()
    assert cleaning.reap(bucket) == 3


def test_a_storage_that_dies_meanwhile_is_not_asked_for_every_key(
    studio: Studio, clock: Clock, mortal_object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = in_bucket(studio, mortal_object_store)
    delete(bucket, make_sample(bucket))
    delete(bucket, make_sample(bucket, seed=1))
    clock.advance(GRACE_SECONDS)
    remove = bucket.blobs.delete

    def remove_and_die(key: str) -> None:
        remove(key)
        mortal_object_store.kill()

    monkeypatch.setattr(bucket.blobs, "delete", remove_and_die)
    with write_units_timed(studio.engine) as held:
        assert cleaning.reap(bucket) == 1
    assert len(held) == 2  # the one that went, and the one that told

    monkeypatch.undo()
    mortal_object_store.start()
    assert cleaning.reap(bucket) == 5
