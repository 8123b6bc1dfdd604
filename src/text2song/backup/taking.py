"""Taking a backup while the studio runs.

The rows come first, in one transaction that sees one moment; then the bytes that these rows name. Bytes
never change, and no row is ever without them. They go only an hour after their last row was deleted (see
`audio.cleaning`); whoever copies for longer may find some gone. Then the rows are written anew, and only
what is new is copied: nothing has to hold the reaper off, and a killed backup leaves no lock behind.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import sqlalchemy as sa
import structlog

from text2song import __version__
from text2song.backup.copying import Copied, Fate, Watch, copy_all, copy_blob
from text2song.backup.folder import BackupFolder, Snapshot
from text2song.backup.manifest import Manifest, WrittenFile
from text2song.backup.pruning import Pruned, prune
from text2song.backup.rows import write_lines, write_table
from text2song.blobs.keys import is_key
from text2song.db import registry, schema
from text2song.db.base import BLOB_KEY
from text2song.db.faults import faults_explained
from text2song.db.postgresql import take_time
from text2song.errors import InvalidInput
from text2song.studio import Studio

log = structlog.get_logger(__name__)

TRIES: Final = 5
"""Snapshots that are taken before bytes that go away again and again are called lost."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a backup did."""

    snapshot: Snapshot
    copied: int
    """Blobs that were new to the folder."""
    pruned: Pruned


def take(
    studio: Studio,
    folder: BackupFolder,
    *,
    keep: int | None = None,
    may_link: bool = False,
    watch: Watch = lambda _: None,
) -> Taken:
    """Add a snapshot; with `keep`, only that many remain. `may_link` lets files of one disk share bytes.

    What the folder holds already is not copied again.

    Raises:
        InvalidInput: the folder holds something else, or `keep` is no number of snapshots.
        SchemaTooNew, SchemaTooOld: the database is not of this version.
        Conflict: another process uses the folder.
        StorageFull, StorageFailed: something cannot be read or written; what was there is whole.
    """
    if keep is not None and keep < 1:
        raise InvalidInput(f"{keep} snapshots cannot be kept: 1 is the least.", field="keep")
    schema.require_current(studio.engine)
    with folder.writing():
        snapshot, copied = _take(studio, folder, may_link=may_link, watch=watch)
        return Taken(snapshot, copied, prune(folder, keep=keep))


def blob_columns(tables: sa.MetaData) -> list[sa.Column[str]]:
    """The columns that hold keys of blobs."""
    return [c for table in tables.sorted_tables for c in table.columns if BLOB_KEY.items() <= c.info.items()]


def _take(studio: Studio, folder: BackupFolder, *, may_link: bool, watch: Watch) -> tuple[Snapshot, int]:
    target = folder.blobs

    def copy(key: str) -> Fate:
        link_under = folder.blobs_root if may_link else None
        return copy_blob(key, source=studio.blobs, target=target, scratch=folder.root, link_under=link_under)

    copied, before = 0, Copied()
    for tries_left in reversed(range(TRIES)):
        draft = folder.begin(studio.clock())
        with _removed_on_error(draft):
            manifest = _write_rows(studio, draft)
            found = copy_all(draft / manifest.blobs.name, copy, watch=watch)
            copied += found.copied
            # Lost for good is what two snapshots name and neither could copy
            if not found.lost or found.lost == before.lost or not tries_left:
                return folder.finish(draft, replace(manifest, lost=found.lost)), copied
        log.info("bytes went while they were copied: the rows are written anew", blobs=len(found.lost))
        shutil.rmtree(draft)
        before = found
    raise AssertionError("the last try returns")


def _write_rows(studio: Studio, draft: Path) -> Manifest:
    tables = registry.metadata()
    taken_at = studio.clock()
    with faults_explained(), _one_moment(studio.engine) as connection:
        return Manifest(
            text2song=__version__,
            schema=schema.current(connection) or schema.head(),
            taken_at=taken_at,
            tables=tuple(write_table(connection, table, draft) for table in tables.sorted_tables),
            blobs=_write_keys(connection, tables, draft),
        )


@contextmanager
def _one_moment(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that only reads sees the database as it is when it begins, however long it takes."""
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            take_time(connection)
        yield connection


def _write_keys(connection: sa.Connection, tables: sa.MetaData, draft: Path) -> WrittenFile:
    named = [
        sa.select(column.label("key")).where(column.is_not(sa.null())) for column in blob_columns(tables)
    ]
    keys = sa.union(*named).subquery()  # each once
    found = connection.execution_options(yield_per=1000).scalars(sa.select(keys.c.key).order_by(keys.c.key))
    return write_lines(draft / "blobs.txt.gz", (key for key in found if is_key(key)))


@contextmanager
def _removed_on_error(draft: Path) -> Iterator[None]:
    """An unfinished snapshot must not fill a disk that is full as it is."""
    try:
        yield
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
