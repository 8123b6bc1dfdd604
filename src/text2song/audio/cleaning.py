"""Chores of a worker: bytes that no sample needs go away.

A key means the same bytes for everybody, so a worker may be storing at this very moment what is
about to be deleted here. Three rules keep a row from ever being without its bytes, on SQLite and
on PostgreSQL:

- `service.keep` deletes the `DoomedBlob` rows of its keys first and looks for its bytes last, in one unit.
- Here a unit deletes the `DoomedBlob` row first, then asks for samples, then deletes the bytes.
- What is doomed while a unit of `keep` is open comes due an hour later.

So both units want the same row, and one waits for the other: SQLite has one writer, PostgreSQL
locks the row. If `keep` was first, the row is gone and the bytes stay. If the reaper was first,
`keep` finds the bytes missing, and they are stored again.

Nothing here holds the write lock for longer than one file takes: both chores look with readers,
and write in a short unit for each key or each piece.
"""

from collections.abc import Collection, Iterator
from itertools import islice
from typing import Final

import structlog
from sqlalchemy import delete, func, select, union_all

from text2song.audio.recording import FOLDERS
from text2song.audio.service import GRACE, doom
from text2song.audio.tables import AudioSample, DoomedBlob
from text2song.blobs.store import BlobStat
from text2song.errors import StudioError
from text2song.studio import Reader, Studio

log = structlog.get_logger(__name__)

REAP_LIMIT: Final = 100
"""Keys that one `reap` looks at, so that the worker's other rounds are not kept waiting."""
PIECE_LIMIT: Final = 500
"""Blobs that one step of `doom_orphans` looks at."""


def reap(studio: Studio) -> int:
    """Delete the bytes that are due and that no sample needs; answers how many keys went.

    A key whose bytes cannot be deleted now is logged and stays for the next time.
    """
    with studio.read() as reader:
        due = _due(reader)
        needed = _needed(reader, due)
    if needed:
        _spare(studio, needed)
    unneeded = [key for key in due if key not in needed]
    reaped = 0
    is_in_doubt = True
    for key in unneeded:
        if is_in_doubt and not _answers(studio, key):
            break
        try:
            reaped += _reap_one(studio, key)
        except StudioError as error:
            log.warning("bytes that nobody needs cannot be deleted", key=key, error=error.message)
            is_in_doubt = True
        else:
            is_in_doubt = False
    return reaped


def doom_orphans(studio: Studio) -> Iterator[int]:
    """Doom bytes without a row, which a process that was killed between storing and writing leaves.

    A step looks at no more than `PIECE_LIMIT` blobs and answers how many of them it doomed; no unit is
    open between the steps, so a caller may take its time from one to the next. Bytes younger than
    `GRACE` are passed over: their row may be on its way. What is doomed has the usual grace.

    Raises:
        StorageFailed: when the storage cannot be listed.
    """
    for piece in _pieces(studio):
        yield _doom_orphans_among(studio, piece)


def find_orphans(studio: Studio) -> Iterator[list[BlobStat]]:
    """What `doom_orphans` would doom, piece by piece; nothing is changed.

    Raises:
        StorageFailed: when the storage cannot be listed.
    """
    for piece in _pieces(studio):
        with studio.read() as reader:
            orphans = _orphans_among(reader, piece)
        yield orphans


def count_due(reader: Reader) -> int:
    """Keys that `reap` would look at now, however many calls it takes."""
    query = select(func.count()).select_from(DoomedBlob).where(DoomedBlob.due_at <= reader.clock())
    return reader.session.scalar(query) or 0


def _pieces(studio: Studio) -> Iterator[list[BlobStat]]:
    for folder in FOLDERS:
        blobs = studio.blobs.list(folder)
        while piece := list(islice(blobs, PIECE_LIMIT)):
            yield piece


def _answers(studio: Studio, key: str) -> bool:
    """Whether the storage is there: one that is dead must not keep the write lock waiting, key by key."""
    try:
        studio.blobs.exists(key)
    except StudioError as error:
        log.warning("the storage does not answer, so nothing is deleted there", error=error.message)
        return False
    return True


def _due(reader: Reader) -> list[str]:
    query = select(DoomedBlob.key).where(DoomedBlob.due_at <= reader.clock())
    keys = reader.session.scalars(query.order_by(DoomedBlob.due_at, DoomedBlob.id).limit(REAP_LIMIT))
    return list(dict.fromkeys(keys))


def _needed(reader: Reader, keys: Collection[str]) -> set[str]:
    """Those of `keys` that samples need, by one query."""
    paths = (AudioSample.storage_path, AudioSample.peaks_path, AudioSample.codes_path)
    return set(reader.session.scalars(union_all(*(select(path).where(path.in_(keys)) for path in paths))))


def _spare(studio: Studio, keys: Collection[str]) -> None:
    """Forget what is due of keys that samples need; whoever deletes those samples dooms them anew."""
    with studio.work() as work:
        is_due = DoomedBlob.due_at <= work.clock()
        work.session.execute(delete(DoomedBlob).where(DoomedBlob.key.in_(keys), is_due))


def _reap_one(studio: Studio, key: str) -> bool:
    with studio.work() as work:
        is_due = DoomedBlob.due_at <= work.clock()
        gone = work.session.execute(
            delete(DoomedBlob).where(DoomedBlob.key == key, is_due).returning(DoomedBlob.id)
        ).all()
        if not gone or _needed(work, [key]):
            return False
        work.blobs.delete(key)  # an error takes the unit back, so that the key stays due
        return True


def _doom_orphans_among(studio: Studio, piece: Collection[BlobStat]) -> int:
    with studio.read() as reader:
        orphans = [blob.key for blob in _orphans_among(reader, piece)]
    if orphans:
        with studio.work() as work:
            doom(work, orphans)
        log.info("bytes without a row were found and doomed", blobs=len(orphans))
    return len(orphans)


def _orphans_among(reader: Reader, piece: Collection[BlobStat]) -> list[BlobStat]:
    oldest = reader.clock() - GRACE
    keys = {blob.key for blob in piece if blob.modified_at <= oldest}
    doomed = reader.session.scalars(select(DoomedBlob.key).where(DoomedBlob.key.in_(keys))).all()
    orphans = keys - _needed(reader, keys) - set(doomed)
    return sorted((blob for blob in piece if blob.key in orphans), key=lambda blob: blob.key)
