import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.console import Console
from tests.databases import lent_database
from tests.jobs.workshop import submit
from tests.postgres import PASSWORD, PostgreSQL
from tests.studios import noise_info
from text2song.db import engine, schema
from text2song.generation.tables import GenerationJob
from text2song.jobs import lifecycle
from text2song.jobs.queue import SilentQueue
from text2song.models import service as models
from text2song.settings import load_settings
from text2song.studio import open_studio


def database(console: Console) -> sqlite3.Connection:
    return sqlite3.connect(console.home / "studio.db")


def test_the_database_is_made_and_left_alone_afterwards(console: Console) -> None:
    said = console.run("db", "upgrade", "--json")
    assert said.code == 0
    assert said.document() == {"before": None, "after": schema.head(), "backup": None}
    again = console.run("db", "upgrade")
    assert (again.code, again.out) == (0, f"The database is at schema {schema.head()} already.\n")


def test_a_newer_database_is_refused_and_not_touched(console: Console) -> None:
    console.run("db", "upgrade")
    with closing(database(console)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    said = console.run("db", "upgrade", "--json")
    assert said.code == 3
    assert said.error()["code"] == "schema_too_new"
    assert console.run("generate", "x").code == 3


def test_a_locked_database_is_told_as_busy(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.1)
    console.home.mkdir()
    with closing(database(console)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        said = console.run("db", "upgrade", "--json")
    assert said.code == 5
    assert said.error()["code"] == "database_busy"
    assert "Try again" in said.error()["message"]


def test_a_home_that_cannot_be_made_is_named(console: Console) -> None:
    console.home.write_text("a file is in the way")
    said = console.run("db", "upgrade")
    assert said.code == 5
    assert str(console.home) in said.err


@pytest.fixture(name="server_database")
def lend_empty(postgresql: PostgreSQL) -> Iterator[str]:
    """The URL of an empty database, with a password in it."""
    with lent_database(postgresql, template="template0", tcp=True) as url:
        yield url


def sqlite_url(console: Console) -> str:
    return f"sqlite:///{console.home / 'studio.db'}"


def test_a_studio_moves_to_a_server_and_works_there(
    furnished: Console, tmp_path: Path, server_database: str
) -> None:
    made = furnished.run("generate", "a slow walk", "--duration", "0.5", "--out", str(tmp_path / "a.flac"))
    assert made.code == 0, made.err
    said = furnished.run("db", "copy", sqlite_url(furnished), server_database, "--json")
    assert said.code == 0, said.err
    document = said.document()
    assert {table["name"]: table["rows"] for table in document["tables"]}["audio_samples"] == 1
    assert document["from"] == str(furnished.home / "studio.db")
    assert document["to"].endswith(" on 127.0.0.1")
    again = furnished.run("db", "copy", sqlite_url(furnished), server_database)
    assert again.code == 1
    assert "holds rows already" in again.err
    there = furnished.run("doctor", "--json", DATABASE_URL=server_database)
    assert {c["name"]: c["state"] for c in there.document()["checks"]}["database"] == "ok"
    more = ("generate", "more", "--duration", "0.5", "--out", str(tmp_path / "b.flac"))
    made = furnished.run(*more, DATABASE_URL=server_database)
    assert made.code == 0, made.err
    everything = "".join(s.out + s.err for s in (said, again, there, made))
    assert PASSWORD not in everything


def test_a_studio_at_work_is_not_copied(console: Console, tmp_path: Path) -> None:
    target = f"sqlite:///{tmp_path / 'new.db'}"
    console.run("db", "upgrade")
    studio = open_studio(load_settings({"TEXT2SONG_HOME": str(console.home)}), queue=SilentQueue())
    with studio.work() as work:
        worker = models.announce(work, noise_info(), worker="host:1", capacity=8)
    said = console.run("db", "copy", sqlite_url(console), target)
    assert said.code == 1
    assert "host:1 still serves this studio" in said.err
    (job,) = submit(studio, {"status": "running"})
    with studio.work() as work:
        models.leave(work, worker)
    said = console.run("db", "copy", sqlite_url(console), target)
    assert "1 jobs are running" in said.err
    with studio.work() as work:
        lifecycle.cancel(work.session, GenerationJob, job, now=work.clock())
    assert console.run("db", "copy", sqlite_url(console), target).code == 0
    studio.engine.dispose()


def test_what_is_no_database_is_told_by_its_place_in_the_command(console: Console, tmp_path: Path) -> None:
    target, nowhere = f"sqlite:///{tmp_path / 'x.db'}", tmp_path / "nowhere"
    (tmp_path / "file").touch()
    console.run("db", "upgrade")
    for source, place, code, words in (
        ("nonsense", target, 3, "FROM is not a database URL"),
        (f"sqlite:///{nowhere / 'absent.db'}", target, 4, f"no database at {nowhere}/absent.db"),
        (sqlite_url(console), f"sqlite:///{tmp_path / 'file' / 'x.db'}", 5, "choose another TO"),
    ):
        said = console.run("db", "copy", source, place)
        assert said.code == code, said.err
        assert words in said.err
    assert not nowhere.exists()
    said = console.run("db", "copy", sqlite_url(console), f"mysql://me:{PASSWORD}@host/studio")
    assert said.code == 3
    assert "TO begins with mysql://" in said.err
    assert PASSWORD not in said.err
