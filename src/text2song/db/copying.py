"""Moving a studio's rows to another database: from SQLite to PostgreSQL, or back.

All or nothing: the rows go over in one unit of the target, are read there again, and are compared with
what the source gave before that unit is committed. While it lasts, nobody writes to the source.
"""

import datetime as dt
import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    JSON,
    URL,
    Column,
    Connection,
    Engine,
    Executable,
    MetaData,
    Table,
    bindparam,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError

from text2song.db import schema
from text2song.db.base import CopiedDocument
from text2song.db.engine import WRITES_OPTION
from text2song.db.faults import explain, faults_explained
from text2song.db.postgresql import LOCK_SECONDS, take_time
from text2song.db.registry import metadata
from text2song.db.urls import is_sqlite, place
from text2song.errors import Conflict, InvalidInput, NotFound, StorageFailed

CHUNK_ROWS: Final = 1000

Row = tuple[Any, ...]
Watch = Callable[["CopiedTable"], object]


@dataclass(frozen=True, slots=True)
class CopiedTable:
    """What went over of one table."""

    name: str
    rows: int
    sha256: str
    """Of all rows in the order of their keys: the same on both sides, whatever the databases."""


def copy(
    source: Engine,
    target: Engine,
    *,
    backups: Path,
    now: dt.datetime,
    require_quiet: Callable[[Connection], object],
    watch: Watch = lambda _: None,
) -> list[CopiedTable]:
    """Copy every row of `source` into `target`, which is empty, or not made yet.

    `require_quiet` looks at the source once nobody can write to it any more, and raises if the studio
    is at work. `watch` hears of each table that went over.

    Raises:
        SchemaTooOld, SchemaTooNew: when the source, or a target that is made, is not of this version.
        Conflict: when the target holds rows.
        InvalidInput: when the target cannot keep what the source holds.
        DatabaseBusy, StorageFailed, StorageFull: when one of the databases fails.
    """
    schema.require_current(source)
    with faults_explained(), target.connect() as connection:
        is_new = schema.current(connection) is None
    if is_new:
        schema.upgrade(target, backups=backups, now=now)
    schema.require_current(target)
    with faults_explained(), target.connect() as connection:
        _require_empty(connection, target)  # before any lock: it may be the source itself
    with faults_explained(), _unit(source) as reading, _unit(target) as writing:
        _keep_writers_out(reading)
        require_quiet(reading)
        _require_empty(writing, target)
        copied = []
        for table in metadata().sorted_tables:
            copied.append(_copy_table(table, reading, writing))
            watch(copied[-1])
        for table, done in zip(metadata().sorted_tables, copied, strict=True):
            _require_equal(table, done, writing)
        return copied


def require_there(url: URL) -> None:
    """Check that a SQLite file exists, which opening it would else make, and its folder too.

    Raises:
        NotFound: when it does not.
    """
    if is_sqlite(url) and not Path(url.database or "").is_file():
        raise NotFound(f"there is no database at {place(url)}: name the one that holds the rows now.")


@contextmanager
def _unit(engine: Engine) -> Iterator[Connection]:
    """A connection in a transaction that may write, and may take as long as it needs."""
    with engine.connect().execution_options(**{WRITES_OPTION: True}) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            take_time(connection, lock_seconds=LOCK_SECONDS)
        yield connection


def _keep_writers_out(source: Connection) -> None:
    """What is written while rows go over would be lost without a word. SQLite's unit has the lock already."""
    if source.dialect.name == "postgresql":
        named = ", ".join(f'"{table.name}"' for table in metadata().sorted_tables)
        source.execute(text(f"LOCK TABLE {named} IN SHARE MODE"))


def _require_empty(target: Connection, engine: Engine) -> None:
    for table in metadata().sorted_tables:
        if target.execute(select(*table.primary_key).limit(1)).first() is not None:
            raise Conflict(
                f"the database {place(engine.url)} holds rows already ({table.name}): copy into an empty one."
            )


def _copy_table(table: Table, source: Connection, target: Connection) -> CopiedTable:
    """Copy its rows in the order of their keys.

    A row may point to another row of its own table, whichever is older: such columns are filled last.
    """
    names = table.columns.keys()
    own = [
        column.name
        for column in table.columns
        if any(key.column.table is table for key in column.foreign_keys)
    ]
    late: dict[str, list[dict[str, Any]]] = {name: [] for name in own}
    filling = insert(_without_rules(table))
    hashed, count = hashlib.sha256(), 0
    for rows in _chunks(table, source):
        hashed.update(_canonical(rows))
        count += len(rows)
        given = [dict(zip(names, row, strict=True)) for row in rows]
        for name, pointing in late.items():
            pointing += [{"row_id": row["id"], "value": row[name]} for row in given if row[name] is not None]
        _write(target, filling, [row | dict.fromkeys(own) for row in given], table=table)
    for name, pointing in late.items():
        point = update(table).where(table.c.id == bindparam("row_id")).values({name: bindparam("value")})
        _write(target, point, pointing, table=table)
    return CopiedTable(table.name, count, hashed.hexdigest())


def _without_rules(table: Table) -> Table:
    """The table without defaults, for rows as they are."""
    kinds = ((c.name, CopiedDocument if isinstance(c.type, JSON) else c.type) for c in table.columns)
    return Table(table.name, MetaData(), *(Column(name, kind) for name, kind in kinds))


def _write(
    target: Connection, statement: Executable, rows: Sequence[dict[str, Any]], *, table: Table
) -> None:
    if not rows:
        return
    try:
        target.execute(statement, rows)
    except DBAPIError as error:
        explained = explain(error)
        if not isinstance(explained, InvalidInput):
            raise
        raise InvalidInput(f"a row of {table.name} cannot be copied: {explained.message}") from error


def _require_equal(table: Table, copied: CopiedTable, target: Connection) -> None:
    hashed, count = hashlib.sha256(), 0
    for rows in _chunks(table, target):
        hashed.update(_canonical(rows))
        count += len(rows)
    if (count, hashed.hexdigest()) != (copied.rows, copied.sha256):
        raise StorageFailed(
            f"{table.name} is not the same in the new database ({count} rows of {copied.rows}), so nothing "
            "was kept there. Please report it."
        )


def _chunks(table: Table, connection: Connection) -> Iterator[Sequence[Row]]:
    query = select(table).order_by(*table.primary_key)
    rows = connection.execute(query, execution_options={"yield_per": CHUNK_ROWS})
    for chunk in rows.partitions():
        yield [tuple(row) for row in chunk]


def _canonical(rows: Iterable[Row]) -> bytes:
    """The rows in one form, whichever database gave them."""
    lines = (json.dumps([_plain(value) for value in row], sort_keys=True) for row in rows)
    return "".join(f"{line}\n" for line in lines).encode()


def _plain(value: object) -> object:
    """A value for JSON. Databases differ in what they make of 1e22, of 2.0 and of -0.0 in a document."""
    match value:
        case float():
            return int(value) if value.is_integer() else value
        case dict():
            return {name: _plain(each) for name, each in value.items()}
        case list():
            return [_plain(each) for each in value]
        case uuid.UUID() | dt.datetime():
            return str(value)
    return value
