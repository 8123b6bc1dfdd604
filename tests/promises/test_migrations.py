"""An old version works on over the schema of the next one, so that a team replaces its APIs one by one.

Between two releases a schema only gains what the old version need not know; what is no longer used goes a
release later. Each migration after the first is held to that.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory

from text2song.db import schema
from text2song.db.engine import open_engine

EXCUSED: Final = {
    "0002": "holds what is shared by a foreign key of two columns; a version without people shares nothing, "
    "so what it writes is as private as its prompt"
}
"""Migrations that may narrow, by revision, each with its reason."""
DROP: Final = "DROP TABLE songs"


@dataclass(frozen=True)
class Table:
    """What a version that writes into it has to know."""

    key: tuple[str, ...]
    columns: dict[str, dict[str, Any]]
    uniques: set[tuple[str, ...]]
    foreign_keys: set[tuple[tuple[str, ...], str, tuple[str, ...]]]
    checks: set[str]


def tables(connection: sa.Connection) -> dict[str, Table]:
    found = sa.inspect(connection)
    return {
        name: Table(
            key=tuple(found.get_pk_constraint(name)["constrained_columns"]),
            columns={each["name"]: dict(each) for each in found.get_columns(name)},
            uniques={tuple(each["column_names"]) for each in found.get_unique_constraints(name)}
            | {tuple(map(str, each["column_names"])) for each in found.get_indexes(name) if each["unique"]},
            foreign_keys={
                (tuple(each["constrained_columns"]), each["referred_table"], tuple(each["referred_columns"]))
                for each in found.get_foreign_keys(name)
            },
            checks={each["sqltext"] for each in found.get_check_constraints(name)},
        )
        for name in found.get_table_names()
    }


def faults(before: dict[str, Table], after: dict[str, Table]) -> Iterator[str]:
    """What a version that knows `before` would fail at, over `after`."""
    for name, old in before.items():
        if name not in after:
            yield f"{name} is gone"
            continue
        new = after[name]
        yield from (f"{name}.{fault}" for fault in _faults_of_columns(old, new))
        for columns in new.uniques - old.uniques:
            is_left_empty = any(c not in old.columns and _may_be_left_empty(new.columns[c]) for c in columns)
            # with the key among them they are unique anyway; and what is empty is like nothing else
            if not (is_left_empty or set(old.key) <= set(columns)):
                yield f"{name} must be unique by {', '.join(columns)}"
        for columns, other, others in new.foreign_keys - old.foreign_keys:
            if not all(_may_be_left_empty(new.columns[c]) and c not in old.columns for c in columns):
                yield f"{name} must point to {other} ({', '.join(others)}) by {', '.join(columns)}"
        yield from (f"{name} must keep {text}" for text in new.checks - old.checks)


def _faults_of_columns(old: Table, new: Table) -> Iterator[str]:
    for name, column in old.columns.items():
        if name not in new.columns:
            yield f"{name} is gone"
        elif str(new.columns[name]["type"]) != str(column["type"]):
            yield f"{name} was {column['type']}, and is {new.columns[name]['type']}"
        elif column["nullable"] and not new.columns[name]["nullable"]:
            yield f"{name} may no longer be empty"
    for name in new.columns.keys() - old.columns.keys():
        if not new.columns[name]["nullable"] and new.columns[name]["default"] is None:
            yield f"{name} must be filled, and has no default"


def _may_be_left_empty(column: dict[str, Any]) -> bool:
    return bool(column["nullable"]) and column["default"] is None


def test_each_migration_only_adds_what_the_version_before_need_not_know(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'studio.db'}")
    scripts = ScriptDirectory.from_config(schema._config())
    revisions = [script.revision for script in scripts.walk_revisions()][::-1]
    found: dict[str, list[str]] = {}
    before: dict[str, Table] = {}
    for revision in revisions:
        with schema.migrating(engine) as connection:
            schema.migrate(connection, revision=revision)
            after = tables(connection)
        found[revision] = list(faults(before, after))
        before = after
    engine.dispose()
    assert len(revisions) > 1
    assert {revision for revision, said in found.items() if said} == set(EXCUSED), found


@pytest.mark.parametrize(
    ("statements", "fault"),
    [
        ([DROP], "songs is gone"),
        (["ALTER TABLE songs DROP COLUMN mood"], "songs.mood is gone"),
        (["ALTER TABLE songs RENAME COLUMN mood TO feeling"], "songs.mood is gone"),
        (["ALTER TABLE songs ADD COLUMN tempo INTEGER NOT NULL"], "songs.tempo must be filled"),
        ([DROP, "CREATE TABLE songs (id INTEGER PRIMARY KEY, mood INTEGER)"], "songs.mood was TEXT"),
        (
            [DROP, "CREATE TABLE songs (id INTEGER PRIMARY KEY, mood TEXT NOT NULL)"],
            "songs.mood may no longer be empty",
        ),
        (["CREATE UNIQUE INDEX x ON songs (mood)"], "songs must be unique by mood"),
        (
            [
                "ALTER TABLE songs ADD COLUMN tempo INTEGER DEFAULT 90",
                "CREATE UNIQUE INDEX x ON songs (tempo)",
            ],
            "songs must be unique by tempo",
        ),
        (
            [
                DROP,
                "CREATE TABLE songs (id INTEGER PRIMARY KEY, mood TEXT REFERENCES moods (name))",
            ],
            "songs must point to moods (name) by mood",
        ),
        (
            [DROP, "CREATE TABLE songs (id INTEGER PRIMARY KEY, mood TEXT CHECK (mood <> 'x'))"],
            "songs must keep mood <> 'x'",
        ),
    ],
)  # fmt: skip
def test_what_an_old_version_would_fail_at_is_found(statements: list[str], fault: str) -> None:
    assert [said.partition(",")[0] for said in _found(*statements)] == [fault.partition(",")[0]]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE albums (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
        "CREATE INDEX x ON songs (mood)",
        "CREATE UNIQUE INDEX x ON songs (id, mood)",
        "ALTER TABLE songs ADD COLUMN tempo INTEGER",
        "ALTER TABLE songs ADD COLUMN tempo INTEGER NOT NULL DEFAULT 90",
        "ALTER TABLE songs ADD COLUMN feeling TEXT REFERENCES moods (name)",
        "ALTER TABLE songs ADD COLUMN tempo INTEGER; CREATE UNIQUE INDEX x ON songs (tempo)",
    ],
)
def test_what_it_need_not_know_may_come(statement: str) -> None:
    assert _found(*statement.split("; ")) == []


def _found(*statements: str) -> list[str]:
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE moods (name TEXT PRIMARY KEY)")
        connection.exec_driver_sql("CREATE TABLE songs (id INTEGER PRIMARY KEY, mood TEXT)")
        before = tables(connection)
        for statement in statements:
            connection.exec_driver_sql(statement)
        return list(faults(before, tables(connection)))
