"""A backup of a studio that goes on working."""

import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.audio.samples import delete, make_sample
from tests.backup.full import blobs_of, everything, fill
from tests.db.disks import small_disk
from tests.rows import add_prompt
from tests.studios import Clock
from text2song.audio import cleaning, service
from text2song.backup import taking
from text2song.backup.checking import check
from text2song.backup.copying import Copied, copy_all
from text2song.backup.folder import BackupFolder
from text2song.backup.restoring import restore
from text2song.backup.rows import read_lines, write_table
from text2song.backup.taking import blob_columns, take
from text2song.db import registry
from text2song.errors import SchemaTooOld, StorageFull
from text2song.studio import Studio

GRACE_SECONDS = service.GRACE.total_seconds()


def test_every_path_of_a_blob_is_marked_as_one() -> None:
    """A feature that forgets the mark would lose its bytes in a restore."""
    marked = {str(column) for column in blob_columns(registry.metadata())}
    named = {
        str(c) for t in registry.metadata().tables.values() for c in t.columns if c.name.endswith("_path")
    }
    assert marked == named
    assert len(marked) >= 4


def test_the_second_time_only_what_is_new_is_copied(studio: Studio, folder: BackupFolder) -> None:
    make_sample(studio)
    assert take(studio, folder).copied == 3
    assert take(studio, folder).copied == 0
    make_sample(studio, seed=1)
    assert take(studio, folder).copied == 3


def test_the_rows_are_those_of_one_moment(
    studio: Studio, folder: BackupFolder, other: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(studio)
    before = everything(studio)

    def write_beside_others(*arguments: object) -> object:
        with studio.work() as work:  # another thread of the studio, between any two tables
            add_prompt(work.session)
        make_sample(studio, seed=len(everything(studio)["prompts"]))
        return write_table(*arguments)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(taking, "write_table", write_beside_others)
    take(studio, folder)
    assert len(everything(studio)["prompts"]) > len(before["prompts"])
    restore(other, folder)
    assert everything(other)["audio_samples"] == before["audio_samples"]
    assert len(everything(other)["prompts"]) - len(before["prompts"]) <= 2  # until the first read


def test_bytes_that_are_reaped_meanwhile_leave_no_row_without_them(
    studio: Studio, folder: BackupFolder, clock: Clock, other: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    doomed, kept = make_sample(studio), make_sample(studio, seed=1)
    passes = list[Copied]()

    def copy_slowly(*arguments: object, **options: object) -> Copied:
        if not passes:  # the rows are written; before the bytes are, more than an hour goes by
            delete(studio, doomed)
            clock.advance(GRACE_SECONDS)
            assert cleaning.reap(studio) == 3
        passes.append(copy_all(*arguments, **options))  # type: ignore[arg-type]  # passed on as they came
        return passes[-1]

    monkeypatch.setattr(taking, "copy_all", copy_slowly)
    taken = take(studio, folder)
    assert [len(each.lost) for each in passes] == [3, 0]
    assert not taken.snapshot.manifest.lost
    assert len(folder.snapshots()) == 1
    restore(other, folder)
    assert [row["id"] for row in everything(other)["audio_samples"]] == [kept.id]
    assert len(blobs_of(other)) == 3


def test_bytes_that_the_studio_has_lost_are_told_and_stop_nothing(
    studio: Studio, folder: BackupFolder, other: Studio
) -> None:
    lost, damaged = make_sample(studio), make_sample(studio, seed=1)
    studio.blobs.delete(lost.storage_path)
    path = studio.blobs.link(damaged.storage_path)
    assert isinstance(path, Path)
    path.write_bytes(b"no music")
    taken = take(studio, folder)
    assert dict(taken.snapshot.manifest.lost) == {
        lost.storage_path: "missing",
        damaged.storage_path: "damaged",
    }
    assert check(folder, (taken.snapshot,)).faults == ()
    restore(other, folder)
    assert len(everything(other)["audio_samples"]) == 2
    assert len(blobs_of(other)) == 4


def test_a_database_of_another_version_is_not_backed_up(studio: Studio, folder: BackupFolder) -> None:
    with studio.work() as work:
        work.session.execute(sa.text("DELETE FROM alembic_version"))
    with pytest.raises(SchemaTooOld):
        take(studio, folder)
    assert not folder.root.exists()


def test_a_full_disk_leaves_the_snapshots_that_were_there(studio: Studio, tmp_path: Path) -> None:
    make_sample(studio)
    with small_disk(tmp_path / "disk", megabytes=1) as disk:
        folder = BackupFolder(disk / "backup")
        take(studio, folder)
        (disk / "ballast").write_bytes(b"x" * 900_000)
        for seed in range(1, 12):
            make_sample(studio, seed=seed)
        with pytest.raises(StorageFull, match="full"):
            take(studio, folder)
        assert len(folder.snapshots()) == 1
        assert check(folder, tuple(folder.snapshots())).faults == ()
        assert len(list((folder.root / "snapshots").iterdir())) == 1


def test_work_goes_on_while_rows_are_written(studio: Studio, folder: BackupFolder) -> None:
    for seed in range(20):
        make_sample(studio, seed=seed)
    done = threading.Event()
    written: list[int] = []

    def work_on() -> None:
        while not done.is_set():
            with studio.work() as work:
                add_prompt(work.session)
            written.append(1)

    writer = threading.Thread(target=work_on)
    writer.start()
    try:
        for _ in range(3):
            take(studio, folder)
    finally:
        done.set()
        writer.join()
    assert len(written) > 3
    for snapshot in folder.snapshots():
        keys = list(read_lines(snapshot.folder / snapshot.manifest.blobs.name))
        assert (len(keys), keys) == (60, sorted(keys))
