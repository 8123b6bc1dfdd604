"""Rows as JSON lines and back, the same lines from every database.

What JSON cannot say is written as text, and the manifest tells of which kind each column is: so rows can
be put into a schema of an older version, whose tables no code describes any more.
"""

import base64
import datetime as dt
import gzip
import json
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import sqlalchemy as sa

from text2song.artifacts.digest import sha256_hex_of_stream
from text2song.backup.manifest import Kind, SavedTable, WrittenFile
from text2song.db.base import CopiedDocument, UtcDateTime
from text2song.disks import sync_file
from text2song.errors import BackupDamaged

PIECE_ROWS: Final = 500
"""Rows that are in memory at the same time."""
COMPRESSION: Final = 5
"""Of gzip: rows repeat their words, and more effort saves little."""
_KINDS: Final[tuple[tuple[type[sa.types.TypeEngine[Any]], Kind], ...]] = (
    (sa.JSON, "json"),
    (UtcDateTime, "moment"),
    (sa.Uuid, "uuid"),
    (sa.LargeBinary, "bytes"),
    (sa.Boolean, "boolean"),
    (sa.Integer, "number"),
    (sa.Float, "number"),
    (sa.String, "text"),
)
_TYPES: Final[Mapping[Kind, sa.types.TypeEngine[Any]]] = MappingProxyType(
    {
        "uuid": sa.Uuid(),
        "moment": UtcDateTime(),
        "json": CopiedDocument,
        "bytes": sa.LargeBinary(),
        "boolean": sa.Boolean(),
        "number": sa.types.NullType(),
        "text": sa.Text(),
    }
)
_WRITING: Final[Mapping[Kind, Callable[[Any], Any]]] = MappingProxyType(
    {"uuid": str, "moment": dt.datetime.isoformat, "bytes": lambda value: base64.b64encode(value).decode()}
)
_READING: Final[Mapping[Kind, Callable[[Any], Any]]] = MappingProxyType(
    {"uuid": uuid.UUID, "moment": dt.datetime.fromisoformat, "bytes": base64.b64decode}
)


def kind_of(column: sa.Column[Any]) -> Kind:
    """The kind of a column of the studio's own tables; a new kind of column has to be added here."""
    return next(kind for kinds_type, kind in _KINDS if isinstance(column.type, kinds_type))


def write_table(connection: sa.Connection, table: sa.Table, folder: Path) -> SavedTable:
    """Write all rows of a table, in the order of their keys; no more than a piece is ever in memory."""
    kinds = {column.name: kind_of(column) for column in table.columns}
    # Of a document, the driver answers None for SQL's NULL and for JSON's null alike: ask which it is
    is_null = [column.is_(sa.null()) for column in table.columns]
    query = sa.select(*table.columns, *is_null).order_by(*table.primary_key.columns)
    rows = connection.execution_options(yield_per=PIECE_ROWS).execute(query)

    def lines() -> Iterator[str]:
        for row in rows:
            values, nulls = row[: len(kinds)], row[len(kinds) :]
            yield _line({n: v for n, v, null in zip(kinds, values, nulls, strict=True) if not null}, kinds)

    written = write_lines(folder / f"{table.name}.jsonl.gz", lines())
    return SavedTable(name=table.name, columns=kinds, file=written)


def fill_table(connection: sa.Connection, saved: SavedTable, folder: Path) -> int:
    """Insert what `write_table` wrote into the table of that name; answers how many rows.

    Raises:
        BackupDamaged: a line that is no such row.
    """
    table = sa.Table(saved.name, sa.MetaData(), *(sa.Column(n, _TYPES[k]) for n, k in saved.columns.items()))
    lines = read_lines(folder / saved.file.name)
    filled = 0
    while piece := [_row(line, saved) for line in islice(lines, PIECE_ROWS)]:
        connection.execute(sa.insert(table), piece)
        filled += len(piece)
    return filled


def write_lines(path: Path, lines: Iterable[str]) -> WrittenFile:
    """A new file with these lines, brought to the disk."""
    count = 0
    with path.open("xb") as raw, gzip.GzipFile("", "wb", COMPRESSION, raw, mtime=0) as file:
        for line in lines:
            file.write(line.encode() + b"\n")
            count += 1
    sync_file(path)
    with path.open("rb") as stream:
        sha256 = sha256_hex_of_stream(stream)
    return WrittenFile(name=path.name, size_bytes=path.stat().st_size, sha256=sha256, lines=count)


def read_lines(path: Path) -> Iterator[str]:
    """The lines of such a file.

    Raises:
        BackupDamaged: the file is not whole, or gone.
    """
    with _explained(path), gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        for line in file:
            yield line.rstrip("\n")


def _line(given: Mapping[str, Any], kinds: Mapping[str, Kind]) -> str:
    said = {n: _WRITING.get(kinds[n], _as_it_is)(v) if v is not None else None for n, v in given.items()}
    return json.dumps(said, separators=(",", ":"))


def _row(line: str, saved: SavedTable) -> dict[str, Any]:
    try:
        said = json.loads(line)
        unknown = said.keys() - saved.columns.keys()
        row = {name: _value(said, name, kind) for name, kind in saved.columns.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise BackupDamaged(f"{saved.file.name} holds a line that is no row ({error}).") from error
    if unknown:
        raise BackupDamaged(f"{saved.file.name} holds {sorted(unknown)}, which the manifest does not name.")
    return row


def _value(said: Mapping[str, Any], name: str, kind: Kind) -> Any:  # noqa: ANN401  # any value of a column
    if name not in said:
        return None
    if said[name] is None:
        return sa.JSON.NULL
    return _READING.get(kind, _as_it_is)(said[name])


def _as_it_is(value: Any) -> Any:  # noqa: ANN401  # any value of a column
    return value


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise BackupDamaged(f"{path} is missing.") from error
    except (EOFError, gzip.BadGzipFile, zlib.error, UnicodeDecodeError) as error:
        raise BackupDamaged(f"{path} is damaged ({error}).") from error
