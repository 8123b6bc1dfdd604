import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.db.disks import fill, forbid_writing, small_disk
from tests.studios import START, ListeningQueue
from text2song.db import schema
from text2song.db.writable import require_writable
from text2song.errors import DatabaseBusy, StorageFailed, StorageFull
from text2song.settings import load_settings
from text2song.studio import Studio, open_studio


def studio_at(disk: Path) -> Studio:
    studio = open_studio(load_settings({"TEXT2SONG_HOME": str(disk)}), queue=ListeningQueue())
    schema.upgrade(studio.engine, backups=disk, now=START)
    return studio


def test_a_database_that_can_be_written_stays_as_it_was(studio: Studio) -> None:
    require_writable(studio.engine)  # the first connection makes SQLite's own files
    before = {path: path.stat() for path in studio.settings.home.iterdir()}
    for _ in range(3):
        require_writable(studio.engine)
    after = {path: path.stat() for path in studio.settings.home.iterdir()}
    assert {path: (s.st_size, s.st_mtime_ns) for path, s in after.items() if path.is_file()} == {
        path: (s.st_size, s.st_mtime_ns) for path, s in before.items() if path.is_file()
    }


def test_a_full_disk_is_told_although_reading_works(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", megabytes=2) as disk:
        studio = studio_at(disk)
        require_writable(studio.engine)
        fill(disk / "stuffing")
        with studio.read() as reader:
            reader.session.connection()
        with pytest.raises(StorageFull, match="free some space"):
            require_writable(studio.engine)
        (disk / "stuffing").unlink()
        require_writable(studio.engine)
        studio.engine.dispose()


def test_a_disk_that_can_only_be_read_is_told(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", megabytes=2) as disk:
        studio = studio_at(disk)
        studio.engine.dispose()
        forbid_writing(disk)
        with pytest.raises(StorageFailed, match=r"check .*owner and .*permissions"):
            require_writable(studio.engine)
        studio.engine.dispose()


def test_a_writer_that_does_not_end_is_told(studio: Studio) -> None:
    with closing(sqlite3.connect(studio.settings.home / "studio.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseBusy, match="locked"):
            require_writable(studio.engine)
        other.execute("ROLLBACK")
