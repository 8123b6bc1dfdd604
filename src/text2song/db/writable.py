"""Whether the database can be written, asked without writing anything."""

from pathlib import Path

from sqlalchemy import Engine, text

from text2song.db.engine import write_session
from text2song.db.faults import DISK_FULL, NOT_WRITABLE, faults_explained
from text2song.disks import is_disk_full, try_to_write
from text2song.errors import StorageFailed, StorageFull


def require_writable(engine: Engine) -> None:
    """Take the write lock, ask to change no row, and see whether the disk has room for a block.

    SQLite says nothing of its disk before it commits, and by then a row is written and brought to the
    disk: hence the block beside its file, which is neither.

    Raises:
        DatabaseBusy: another program keeps the lock.
        StorageFull, StorageFailed: what a write would meet now.
    """
    with faults_explained(), write_session(engine) as session, session.begin():
        session.execute(text("UPDATE alembic_version SET version_num = version_num WHERE 1 = 0"))
    if engine.dialect.name == "sqlite":
        _require_room(Path(engine.url.database or "").absolute().parent)


def _require_room(folder: Path) -> None:
    try:
        try_to_write(folder)
    except OSError as error:
        if is_disk_full(error):
            raise StorageFull(DISK_FULL) from error
        raise StorageFailed(NOT_WRITABLE) from error
