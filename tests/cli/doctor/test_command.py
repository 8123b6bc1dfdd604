import os
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.console import Console, Said
from tests.studios import furnish
from text2song.cli.serve.listener import open_listener
from text2song.db import engine, schema


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def free_port() -> str:
    with open_listener("127.0.0.1", port=0) as listener:
        return str(listener.getsockname()[1])


def examined(console: Console, **settings: str) -> Said:
    return console.run("doctor", "--json", "--port", free_port(), **settings)


def found(said: Said, name: str) -> tuple[str, str]:
    [finding] = [check for check in said.document()["checks"] if check["name"] == name]
    return finding["state"], finding["found"]


def test_a_fresh_machine_is_healthy_and_stays_untouched(console: Console) -> None:
    said = examined(console)
    assert said.code == 0
    assert said.document()["healthy"] is True
    assert found(said, "database") == ("ok", "none yet; it is made at the first start")
    assert found(said, "model")[0] == "note"
    assert "CPU threads" in found(said, "torch")[1]
    assert "flac, wav, mp3, ogg" in found(said, "sound")[1]
    assert not console.home.exists()


def test_a_studio_in_use_is_healthy(furnished: Console) -> None:
    said = examined(furnished)
    assert (said.code, found(said, "database")[0], found(said, "blobs")[0]) == (0, "ok", "ok")


@pytest.fixture
def spaced(tmp_path: Path, _migrated_database: Path, _models_folder: Path) -> Console:
    """Commands over a studio whose home folder has an awkward name."""
    home = tmp_path / "my home #1"
    furnish(home, database=_migrated_database, models=_models_folder)
    (home / "blobs").mkdir(exist_ok=True)
    return Console(home)


def test_a_look_changes_nothing_though_the_home_has_a_space(spaced: Console) -> None:
    before = sorted(spaced.home.rglob("*"))
    said = examined(spaced)
    assert said.code == 0, said.out
    assert found(said, "database") == ("ok", f"schema {schema.head()}, not locked")
    assert found(said, "blobs") == ("ok", (spaced.home / "blobs").as_uri())
    assert sorted(spaced.home.rglob("*")) == before


def test_a_database_url_that_cannot_be_is_a_problem(console: Console) -> None:
    for url in ("nonsense", "sqlite://", "sqlite:///:memory:"):
        state, advice = found(examined(console, DATABASE_URL=url), "database")
        assert (state, "TEXT2SONG_DATABASE_URL" in advice) == ("problem", True), url


def test_a_person_gets_a_line_for_each_check(console: Console) -> None:
    lines = console.run("doctor", "--port", free_port()).out.splitlines()
    assert lines[0].split()[:2] == ["ok", "python"]
    assert [line.split()[0] for line in lines].count("problem") == 0


def test_a_part_that_is_missing_is_named_and_the_rest_is_still_checked(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    said = examined(console)
    assert said.code == 1
    state, advice = found(said, "torch")
    assert state == "problem"
    assert "install your wheel with [model]" in advice
    assert found(said, "server")[0] == "ok"


def test_a_setting_that_cannot_be_is_a_problem(console: Console) -> None:
    said = examined(console, LEASE_SECONDS="soon")
    assert said.code == 1
    assert "TEXT2SONG_LEASE_SECONDS" in found(said, "settings")[1]


def test_a_queue_that_this_version_does_not_know_is_a_problem(console: Console) -> None:
    said = examined(console, QUEUE_URL="redis://127.0.0.1")
    assert said.code == 1
    state, advice = found(said, "queue")
    assert state == "problem"
    assert "TEXT2SONG_QUEUE_URL is 'redis://127.0.0.1'" in advice
    assert "set it to thread://" in advice
    assert found(examined(console), "queue") == ("ok", "thread://")


def test_a_home_that_is_no_folder_is_a_problem(console: Console) -> None:
    console.home.write_text("a file")
    assert found(examined(console), "home")[0] == "problem"


def test_a_home_that_belongs_to_somebody_else_is_a_problem(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root, who may run this, has access to everything
    state, advice = found(examined(console), "home")
    assert state == "problem"
    assert "see to its owner and permissions" in advice


def test_a_disk_that_is_nearly_full_is_noted(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10, 9, 1))
    said = examined(console)
    assert said.code == 0
    assert "free some space" in found(said, "home")[1]


def test_a_newer_database_is_a_problem_and_an_older_one_is_noted(console: Console) -> None:
    console.run("db", "upgrade")
    for version, state in (("9999", "problem"), (None, "note")):
        with closing(sqlite3.connect(console.home / "studio.db")) as connection:
            connection.execute("DELETE FROM alembic_version")
            if version:
                connection.execute("INSERT INTO alembic_version VALUES (?)", (version,))
            connection.commit()
        assert found(examined(console), "database")[0] == state


def test_a_locked_database_is_a_problem(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.1)
    console.run("db", "upgrade")
    with closing(sqlite3.connect(console.home / "studio.db")) as connection:
        connection.execute("BEGIN IMMEDIATE")
        state, advice = found(examined(console), "database")
    assert state == "problem"
    assert "locked" in advice


def test_a_folder_of_bytes_that_is_not_one_is_a_problem(furnished: Console, tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("a file")
    said = examined(furnished, BLOBS_URL=f"file://{tmp_path}/blobs")
    assert found(said, "blobs")[0] == "problem"


def test_a_model_that_is_missing_or_damaged_is_a_problem(furnished: Console, tmp_path: Path) -> None:
    missing = examined(furnished, MODEL="somebody/something")
    assert missing.code == 1
    assert "text2song model add somebody/something" in found(missing, "model")[1]
    (tmp_path / "config.json").write_text("{")
    assert found(examined(furnished, MODEL=str(tmp_path)), "model")[0] == "problem"


def test_a_model_that_is_there_is_named(furnished: Console) -> None:
    folder = furnished.home / "models" / "untrained-noise"
    assert found(examined(furnished, MODEL=str(folder)), "model")[0] == "ok"


def test_a_port_that_is_taken_by_another_program_is_noted(console: Console) -> None:
    with open_listener("127.0.0.1", port=0) as listener:
        port = listener.getsockname()[1]
        said = console.run("doctor", "--json", "--port", str(port))
    assert said.code == 0
    assert found(said, "port")[0] == "note"
