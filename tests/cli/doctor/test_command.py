import os
import re
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.console import Console, Said
from tests.databases import lent_database
from tests.doorbells import opened_broker
from tests.object_store import ObjectStore
from tests.postgres import PASSWORD, PostgreSQL
from tests.studios import furnish
from text2song.blobs.open import open_store
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
    assert [line for line in lines if line.startswith("problem")] == []


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


def test_a_compiler_that_is_missing_is_named(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in sys.modules if each.startswith("text2song.model.kernels")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "llvmlite", None)  # as if it were not installed
    state, advice = found(examined(console), "compiler")
    assert (state, "install your wheel with [model]" in advice) == ("problem", True)


def test_a_setting_that_cannot_be_is_a_problem(console: Console) -> None:
    said = examined(console, LEASE_SECONDS="soon")
    assert said.code == 1
    assert "TEXT2SONG_LEASE_SECONDS" in found(said, "settings")[1]


def test_a_queue_that_this_version_does_not_know_is_a_problem(console: Console) -> None:
    said = examined(console, QUEUE_URL="amqp://127.0.0.1")
    assert said.code == 1
    state, advice = found(said, "queue")
    assert state == "problem"
    assert "TEXT2SONG_QUEUE_URL is of no known kind" in advice
    assert "set it to thread://" in advice
    assert found(examined(console), "queue") == ("ok", "thread://, `text2song serve` makes takes itself")


def test_a_server_of_bells_is_asked_and_its_password_told_to_nobody(console: Console) -> None:
    with opened_broker(password="sesame") as broker:
        healthy = examined(console, QUEUE_URL=broker.url)
        assert healthy.code == 0, healthy.out
        state, words = found(healthy, "queue")
        assert (state, words.startswith(f"redis://:***@127.0.0.1:{broker.port}/0 answers")) == ("ok", True)
        refused = examined(console, QUEUE_URL=broker.url.replace("sesame", "open-sesame"))
        assert found(refused, "queue")[0] == "problem"
        broker.freeze()
        silent = examined(console, QUEUE_URL=broker.url)
        assert found(silent, "queue")[0] == "problem"
        broker.wake()
    gone = examined(console, QUEUE_URL=broker.url)
    state, words = found(gone, "queue")
    assert (gone.code, state) == (1, "problem")
    assert "see whether the server runs" in words.lower()
    assert "sesame" not in healthy.out + refused.out + silent.out + gone.out


def test_what_workers_need_is_no_problem_where_the_api_may_be_alone(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    with opened_broker() as broker:
        said = examined(console, QUEUE_URL=broker.url, MODEL="somebody/something")
    assert said.code == 0, said.out
    for name in ("torch", "model"):
        state, words = found(said, name)
        assert (state, "The API works without it" in words) == ("note", True)
    assert found(said, "memory")[0] == "note"


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


def test_a_bucket_is_tried_and_left_as_it_was(furnished: Console, object_store: ObjectStore) -> None:
    settings = object_store.settings()
    said = examined(replace(furnished, settings=settings))
    assert found(said, "blobs") == ("ok", f"{settings['TEXT2SONG_BLOBS_URL']}, players are sent there")
    blobs = open_store(settings["TEXT2SONG_BLOBS_URL"], environment=settings)
    assert list(blobs.list("probe")) == []
    passing = examined(replace(furnished, settings=settings | {"TEXT2SONG_BLOBS_REDIRECT": "never"}))
    assert "players get them from the API" in found(passing, "blobs")[1]


def test_a_bucket_that_is_not_there_is_a_problem(furnished: Console, object_store: ObjectStore) -> None:
    settings = object_store.settings() | {"TEXT2SONG_BLOBS_URL": object_store.url(bucket="elsewhere")}
    said = examined(replace(furnished, settings=settings))
    assert said.code == 1
    assert found(said, "blobs")[0] == "problem"
    assert "no bucket elsewhere" in found(said, "blobs")[1]


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


@pytest.fixture(name="server_database")
def lend_empty(postgresql: PostgreSQL) -> Iterator[str]:
    """The URL of an empty database, with a password in it."""
    with lent_database(postgresql, template="template0", tcp=True) as url:
        yield url


def test_a_database_on_a_server_is_told_by_its_place_and_never_by_its_password(
    console: Console, server_database: str
) -> None:
    short = server_database.replace("postgresql+psycopg://", "postgres://")
    state, words = found(examined(console, DATABASE_URL=short), "database")
    assert (state, words.split(";")[1]) == ("ok", " its tables are made at the first start")
    assert console.run("db", "upgrade", DATABASE_URL=short).code == 0
    state, words = found(examined(console, DATABASE_URL=short), "database")
    assert state == "ok"
    assert re.fullmatch(rf"PostgreSQL \d+\.\d+, \w+ on 127\.0\.0\.1, schema {schema.head()}", words)
    wrong = console.command("doctor", "--json", DATABASE_URL=short.replace(PASSWORD, "wr0ng"))
    assert "password authentication failed" in wrong.err  # what the server said, beside the document
    state, words = found(wrong, "database")
    assert (state, "check user and password" in words) == ("problem", True)
    assert not [secret for secret in (PASSWORD, "wr0ng") if secret in wrong.out + wrong.err]
