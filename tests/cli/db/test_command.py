import sqlite3
from contextlib import closing

import pytest

from tests.cli.console import Console
from text2song.db import engine, schema


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
