"""Bytes go when nobody needs them, and never under a row."""

import os
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import event, func, select, text

from tests.audio.samples import delete, keep, make_sample, record_tone, stored_keys
from tests.audio.write_units import write_units_timed
from tests.figures import RecordFigure
from tests.studios import Clock
from text2song.audio import cleaning, service
from text2song.audio.tables import AudioSample, DoomedBlob
from text2song.errors import StorageFailed
from text2song.studio import Studio

GRACE_SECONDS = service.GRACE.total_seconds()


def doomed(studio: Studio) -> list[str]:
    with studio.read() as reader:
        return sorted(reader.session.scalars(select(DoomedBlob.key)))


def test_the_bytes_go_after_the_hour_of_grace(studio: Studio, clock: Clock) -> None:
    delete(studio, make_sample(studio))
    clock.advance(GRACE_SECONDS - 1)
    assert cleaning.reap(studio) == 0
    assert len(stored_keys(studio)) == 3
    clock.advance(1)
    assert cleaning.reap(studio) == 3
    assert (stored_keys(studio), doomed(studio)) == (set(), [])
    assert cleaning.reap(studio) == 0


def test_bytes_that_another_sample_shares_stay_until_that_is_gone_too(studio: Studio, clock: Clock) -> None:
    first, second = make_sample(studio), make_sample(studio)
    stored = stored_keys(studio)
    assert len(stored) == 3
    delete(studio, first)
    clock.advance(GRACE_SECONDS)
    assert cleaning.reap(studio) == 0
    assert (stored_keys(studio), doomed(studio)) == (stored, [])
    delete(studio, second)
    clock.advance(GRACE_SECONDS)
    assert cleaning.reap(studio) == 3
    assert stored_keys(studio) == set()


def test_keys_that_are_doomed_twice_go_once(studio: Studio, clock: Clock) -> None:
    first, second = make_sample(studio), make_sample(studio)
    delete(studio, first)
    delete(studio, second)
    clock.advance(GRACE_SECONDS)
    assert cleaning.reap(studio) == 3
    assert doomed(studio) == []


def test_many_are_reaped_a_bounded_number_at_a_time(
    studio: Studio, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaning, "REAP_LIMIT", 4)
    for seed in range(3):
        delete(studio, make_sample(studio, seed=seed))
    clock.advance(GRACE_SECONDS)
    assert [cleaning.reap(studio) for _ in range(4)] == [4, 4, 1, 0]
    assert stored_keys(studio) == set()


def test_a_new_row_takes_its_keys_out_of_the_reapers_hands(studio: Studio, clock: Clock) -> None:
    delete(studio, make_sample(studio))
    make_sample(studio)
    assert doomed(studio) == []
    clock.advance(GRACE_SECONDS)
    assert cleaning.reap(studio) == 0
    assert len(stored_keys(studio)) == 3


def test_a_row_that_comes_while_the_reaper_looks_keeps_its_bytes(
    studio: Studio, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete(studio, make_sample(studio))
    clock.advance(GRACE_SECONDS)
    reap_one, made = cleaning._reap_one, list[AudioSample]()

    def store_first(studio: Studio, key: str) -> bool:
        if not made:  # between the reaper's look and its first unit
            made.append(make_sample(studio))
        return reap_one(studio, key)

    monkeypatch.setattr(cleaning, "_reap_one", store_first)
    assert cleaning.reap(studio) == 0
    assert len(made) == 1
    assert len(stored_keys(studio)) == 3


def test_a_sample_that_is_deleted_while_the_reaper_looks_is_doomed_for_its_own_hour(
    studio: Studio, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make_sample(studio), make_sample(studio)
    delete(studio, first)
    clock.advance(GRACE_SECONDS)
    spare = cleaning._spare

    def delete_first(studio: Studio, keys: set[str]) -> None:
        delete(studio, second)
        spare(studio, keys)

    monkeypatch.setattr(cleaning, "_spare", delete_first)
    assert cleaning.reap(studio) == 0
    assert (len(doomed(studio)), len(stored_keys(studio))) == (3, 3)
    clock.advance(GRACE_SECONDS)
    assert cleaning.reap(studio) == 3


def test_bytes_that_were_reaped_before_their_row_are_told(studio: Studio, clock: Clock) -> None:
    delete(studio, make_sample(studio))
    clock.advance(GRACE_SECONDS)
    recording = record_tone(studio.blobs)
    assert cleaning.reap(studio) == 3
    with pytest.raises(StorageFailed, match="removed before its row"), studio.work() as work:
        keep(work, recording)
    assert rows(studio) == 0


def rows(studio: Studio) -> int:
    with studio.read() as reader:
        return reader.session.scalar(select(func.count()).select_from(AudioSample)) or 0


def test_threads_that_store_and_reap_the_same_bytes_never_leave_a_row_without_them(
    studio: Studio, clock: Clock
) -> None:
    for _ in range(12):
        delete(studio, make_sample(studio))
        clock.advance(GRACE_SECONDS)
        start = threading.Barrier(2)

        def reap(start: threading.Barrier = start) -> None:
            start.wait()
            cleaning.reap(studio)

        reaper = threading.Thread(target=reap)
        reaper.start()
        start.wait()
        try:
            sample = make_sample(studio)
        except StorageFailed:  # the reaper was first
            reaper.join()
            sample = make_sample(studio)
        reaper.join()
        for key in (sample.storage_path, sample.peaks_path, sample.codes_path):
            studio.blobs.read(key, verify=True)
        delete(studio, sample)
        clock.advance(GRACE_SECONDS)
        cleaning.reap(studio)
        assert (stored_keys(studio), doomed(studio)) == (set(), [])


def test_a_key_that_cannot_be_deleted_holds_up_no_other(
    studio: Studio, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = make_sample(studio)
    delete(studio, sample)
    clock.advance(GRACE_SECONDS)
    remove = studio.blobs.delete

    def refuse(key: str) -> None:
        if key == sample.storage_path:
            raise StorageFailed("not now")
        remove(key)

    monkeypatch.setattr(studio.blobs, "delete", refuse)
    assert cleaning.reap(studio) == 2
    assert (stored_keys(studio), doomed(studio)) == ({sample.storage_path}, [sample.storage_path])
    monkeypatch.undo()
    assert cleaning.reap(studio) == 1
    assert (stored_keys(studio), doomed(studio)) == (set(), [])


def age(studio: Studio, *, seconds: float) -> None:
    """All that is stored now was stored that long before the studio's now."""
    stored_at = studio.clock().timestamp() - seconds
    for key in stored_keys(studio):
        path = studio.blobs.link(key)
        assert isinstance(path, Path)
        os.utime(path, (stored_at, stored_at))


def test_bytes_that_a_killed_process_left_without_a_row_are_found(studio: Studio, clock: Clock) -> None:
    sample = make_sample(studio)
    needed = stored_keys(studio)
    record_tone(studio.blobs, seed=1)  # killed here, before the row
    age(studio, seconds=GRACE_SECONDS)
    orphans = sorted(stored_keys(studio) - needed)
    assert sum(cleaning.doom_orphans(studio)) == 3
    assert doomed(studio) == orphans
    assert sum(cleaning.doom_orphans(studio)) == 0  # they are doomed already
    assert cleaning.reap(studio) == 0  # and have their hour
    clock.advance(GRACE_SECONDS)
    assert cleaning.reap(studio) == 3
    assert stored_keys(studio) == needed
    assert rows(studio) == 1
    studio.blobs.read(sample.storage_path, verify=True)


def test_orphans_can_be_looked_for_without_dooming_them(studio: Studio, clock: Clock) -> None:
    make_sample(studio)
    needed = stored_keys(studio)
    record_tone(studio.blobs, seed=1)
    age(studio, seconds=GRACE_SECONDS)
    found = [blob.key for piece in cleaning.find_orphans(studio) for blob in piece]
    assert set(found) == stored_keys(studio) - needed
    assert doomed(studio) == []
    assert sum(cleaning.doom_orphans(studio)) == 3
    assert [piece for piece in cleaning.find_orphans(studio) if piece] == []
    with studio.read() as reader:
        assert cleaning.count_due(reader) == 0
    clock.advance(GRACE_SECONDS)
    with studio.read() as reader:
        assert cleaning.count_due(reader) == 3


def test_young_bytes_are_no_orphans_yet(studio: Studio) -> None:
    record_tone(studio.blobs)
    age(studio, seconds=GRACE_SECONDS - 1)
    assert sum(cleaning.doom_orphans(studio)) == 0
    age(studio, seconds=GRACE_SECONDS)
    assert sum(cleaning.doom_orphans(studio)) == 3


def test_an_orphan_that_is_stored_again_and_kept_is_spared(studio: Studio, clock: Clock) -> None:
    record_tone(studio.blobs)
    age(studio, seconds=GRACE_SECONDS)
    assert sum(cleaning.doom_orphans(studio)) == 3
    make_sample(studio)
    clock.advance(GRACE_SECONDS)
    assert cleaning.reap(studio) == 0
    assert len(stored_keys(studio)) == 3


def test_orphans_are_sought_in_bounded_steps_with_no_unit_open_between(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaning, "PIECE_LIMIT", 2)
    for seed in range(3):
        record_tone(studio.blobs, seed=seed)
    age(studio, seconds=GRACE_SECONDS)
    steps = []
    for found in cleaning.doom_orphans(studio):
        steps.append(found)
        assert studio.engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # of QueuePool
    assert steps == [2, 1] * 3  # in each of the three folders


@pytest.mark.databases("sqlite")
def test_a_reap_beside_fifty_thousand_samples_lets_others_write(
    studio: Studio, clock: Clock, record_figure: RecordFigure
) -> None:
    make_sample(studio)
    for seed in range(1, 35):
        delete(studio, make_sample(studio, seed=seed))
    multiply_rows(studio, times=50_000)
    clock.advance(GRACE_SECONDS)
    began = time.perf_counter()
    with write_units_timed(studio.engine) as held:
        assert cleaning.reap(studio) == cleaning.REAP_LIMIT
    record_figure("a reap of 100 keys beside 50,000 samples", (time.perf_counter() - began) * 1e3, "ms")
    record_figure("how long a key kept other writers waiting", sorted(held)[len(held) // 2] * 1e3, "ms")
    record_figure("the longest that it kept other writers waiting", max(held) * 1e3, "ms")
    assert len(held) == cleaning.REAP_LIMIT  # a unit for each key, and none for all


def multiply_rows(studio: Studio, *, times: int) -> None:
    """Copies of the one sample there is, each with an id and paths of its own."""
    columns = [column.name for column in AudioSample.__table__.columns]
    own = {"id": "printf('%032x', n)"} | {
        path: f"printf('{path}/%064x', n)" for path in ("storage_path", "peaks_path", "codes_path")
    }
    values = ", ".join(own.get(name, name) for name in columns)
    numbers = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :times)"
    with studio.work() as work:
        work.session.execute(
            text(
                f"INSERT INTO audio_samples ({', '.join(columns)}) {numbers} "  # noqa: S608  # our own names
                f"SELECT {values} FROM audio_samples, numbers"
            ),
            {"times": times},
        )


@pytest.mark.databases("sqlite")
def test_the_questions_of_the_reaper_are_answered_by_indexes(studio: Studio) -> None:
    with studio.read() as reader:
        plans: list[str] = []

        @event.listens_for(studio.engine, "after_cursor_execute")
        def explain(*arguments: object) -> None:
            connection, cursor, statement, values = arguments[:4]
            del connection
            if "EXPLAIN" not in str(statement) and "audio_samples" in str(statement):
                plan = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)  # type: ignore[attr-defined]  # sqlite3's
                plans.extend(row[3] for row in plan)

        assert cleaning._needed(reader, ["a", "b"]) == set()
        event.remove(studio.engine, "after_cursor_execute", explain)
    steps = [step for step in plans if "audio_samples" in step]
    assert len(steps) == 3, plans
    assert all(step.startswith("SEARCH") and "INDEX" in step for step in steps), plans
