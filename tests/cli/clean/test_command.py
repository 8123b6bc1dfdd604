"""What would go, what goes, and what stays."""

import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.audio.samples import delete, make_sample, record_tone
from tests.cli.console import Console
from text2song.jobs.queue import SilentQueue
from text2song.settings import load_settings
from text2song.studio import open_studio


@pytest.fixture(name="untidy")
def make_untidy(tmp_path: Path, _migrated_database: Path) -> Console:
    """A sample, a deleted one whose hour is over, and an orphan; all of long ago."""
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(_migrated_database, home / "studio.db")
    studio = open_studio(load_settings({"TEXT2SONG_HOME": str(home)}), queue=SilentQueue())
    make_sample(studio)
    delete(studio, make_sample(studio, seed=1))
    record_tone(studio.blobs, seed=2)
    studio.engine.dispose()
    with closing(sqlite3.connect(home / "studio.db")) as connection:
        connection.execute("UPDATE doomed_blobs SET due_at = '2020-01-01 00:00:00.000000'")
        connection.execute("UPDATE audio_samples SET created_at = '2020-01-01 00:00:00.000000'")
        connection.commit()
    for path in files(home):
        os.utime(path, (time.time() - 7200,) * 2)
    return Console(home)


def files(home: Path) -> list[Path]:
    return sorted(path for path in (home / "blobs").rglob("*.*") if path.is_file())


def rows(home: Path) -> list[str]:
    with closing(sqlite3.connect(home / "studio.db")) as connection:
        return list(connection.iterdump())


def test_a_dry_run_tells_and_changes_nothing(untidy: Console) -> None:
    before = rows(untidy.home), files(untidy.home)
    said = untidy.run("clean", "--dry-run", "--json", KEEP_SAMPLES_DAYS="30")
    assert said.code == 0, said.err
    document = said.document()
    assert document["expired"]["samples"] == 1
    assert (document["orphans"], document["due_files"], document["deleted_files"]) == (3, 3, 0)
    assert document["orphan_bytes"] > 1000
    told = untidy.run("clean", "--dry-run").out
    assert "0 samples" in told  # nobody said that any go
    assert told.endswith("Nothing was changed.\n")
    assert (rows(untidy.home), files(untidy.home)) == before


def test_what_is_due_goes_and_what_is_found_waits_for_its_hour(untidy: Console) -> None:
    said = untidy.run("clean")
    assert said.code == 0, said.err
    assert "Deleted: 3 files" in said.out
    assert len(files(untidy.home)) == 6
    again = untidy.run("clean", "--json").document()
    assert (again["orphans"], again["due_files"], again["deleted_files"]) == (0, 0, 0)


def test_old_samples_go_when_the_settings_say_so(untidy: Console) -> None:
    assert untidy.run("clean", "--json", KEEP_SAMPLES_DAYS="30").document()["expired"]["samples"] == 1
    assert untidy.run("clean", "--json", KEEP_SAMPLES_DAYS="30").document()["expired"]["samples"] == 0
    assert len(files(untidy.home)) == 6  # they go in an hour


def test_a_database_of_another_version_is_left_alone(console: Console) -> None:
    assert console.run("clean").code == 3
