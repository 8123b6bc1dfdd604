"""Backing up and restoring as a person types it."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.audio.samples import make_sample
from tests.cli.console import Console
from text2song.jobs.queue import SilentQueue
from text2song.settings import load_settings
from text2song.studio import open_studio


@pytest.fixture(name="filled")
def fill(tmp_path: Path, _migrated_database: Path) -> Console:
    """A studio with two samples."""
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(_migrated_database, home / "studio.db")
    studio = open_studio(load_settings({"TEXT2SONG_HOME": str(home)}), queue=SilentQueue())
    for seed in range(2):
        make_sample(studio, seed=seed)
    studio.engine.dispose()
    return Console(home)


def samples(home: Path) -> int:
    with closing(sqlite3.connect(home / "studio.db")) as connection:
        return int(connection.execute("SELECT count(*) FROM audio_samples").fetchone()[0])


def test_a_studio_is_backed_up_wiped_and_restored(filled: Console, tmp_path: Path) -> None:
    to = str(tmp_path / "kept")
    said = filled.run("backup", to, "--json")
    assert said.code == 0, said.err
    document = said.document()
    assert (document["rows"], document["files"], document["copied_files"]) == (4, 6, 6)
    assert "6 files, 0 of them new" in filled.run("backup", to).out
    assert filled.run("backup", to, "--verify").out.startswith(f"The backup in {to} is whole: 2 snapshots")
    shutil.rmtree(filled.home)
    said = filled.run("restore", to, "--json")
    assert said.code == 0, said.err
    assert said.document() | {"taken_at": ""} == {
        "snapshot": filled.run("backup", to, "--verify", "--json").document()["snapshots"][0],
        "taken_at": "",
        "rows": 4,
        "files": 6,
        "requeued_jobs": 0,
        "lost_files": 0,
        "aside": None,
    }
    assert samples(filled.home) == 2


def test_what_is_there_is_replaced_only_when_asked(filled: Console, tmp_path: Path) -> None:
    to = str(tmp_path / "kept")
    [first] = [filled.run("backup", to, "--json").document()["snapshot"]]
    with closing(sqlite3.connect(filled.home / "studio.db")) as connection:
        connection.execute("DELETE FROM audio_samples")
        connection.commit()
    refused = filled.run("restore", to, "--json")
    assert (refused.code, refused.error()["code"]) == (1, "conflict")
    assert samples(filled.home) == 0
    done = filled.run("restore", to, "--snapshot", first, "--replace")
    assert done.code == 0, done.err
    assert samples(filled.home) == 2
    [aside] = (filled.home / "backups").iterdir()
    assert f"is kept in {aside}" in done.out
    assert filled.run("restore", str(aside), "--replace", "--aside", str(tmp_path / "away")).code == 0
    assert samples(filled.home) == 0
    assert (tmp_path / "away" / "snapshots").is_dir()


def test_damage_is_told_and_ends_with_an_error(filled: Console, tmp_path: Path) -> None:
    to = tmp_path / "kept"
    filled.run("backup", str(to))
    spoiled = next((to / "blobs" / "codes").rglob("*.safetensors"))
    spoiled.unlink()
    said = filled.run("backup", str(to), "--verify", "--json")
    assert (said.code, said.error()["code"]) == (1, "backup_damaged")
    assert said.document()["faults"] == [f"blobs/{spoiled.relative_to(to / 'blobs')} is missing"]
    assert filled.run("restore", str(to), "--replace").code == 1
    healed = filled.run("backup", str(to), "--json")
    assert healed.document()["copied_files"] == 1
    assert filled.run("backup", str(to), "--verify").code == 0


def test_a_studio_that_lost_bytes_is_backed_up_with_an_error(filled: Console, tmp_path: Path) -> None:
    gone = next((filled.home / "blobs" / "audio").rglob("*.flac"))
    gone.unlink()
    said = filled.run("backup", str(tmp_path / "kept"), "--json")
    assert (said.code, said.error()["code"]) == (1, "blob_missing")
    assert said.document()["lost_files"] == [str(gone.relative_to(filled.home / "blobs"))]
    verified = filled.run("backup", str(tmp_path / "kept"), "--verify")
    assert verified.code == 0
    assert "1 files were lost" in verified.out


def test_places_that_cannot_be_are_told(filled: Console, tmp_path: Path) -> None:
    home = filled.run("backup", str(filled.home), "--json")
    assert (home.code, home.error()["code"]) == (2, "invalid_input")  # its `blobs` would be taken for copies
    for command in (("restore", str(tmp_path / "none")), ("backup", str(tmp_path / "none"), "--verify")):
        said = filled.run(*command, "--json")
        assert (said.code, said.error()["code"]) == (2, "invalid_input")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert filled.run("backup", str(empty), "--verify").code == 2


def test_old_snapshots_go_when_asked(filled: Console, tmp_path: Path) -> None:
    to = str(tmp_path / "kept")
    for _ in range(2):
        filled.run("backup", to)
    said = filled.run("backup", to, "--keep", "1")
    assert "2 older snapshots went, and 0 files." in said.out
    assert filled.run("backup", to, "--keep", "0").code == 2
