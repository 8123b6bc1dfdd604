"""What `clean` does."""

from dataclasses import asdict, dataclass

from text2song.audio import cleaning
from text2song.cli import opening
from text2song.cli.answer import Answer
from text2song.db import schema
from text2song.generation import retention
from text2song.generation.retention import Expired
from text2song.jobs.queue import SilentQueue
from text2song.studio import Studio, open_studio


@dataclass(frozen=True, slots=True)
class Found:
    """What there is to take away."""

    expired: Expired
    orphans: int
    """Files that no row names, and nobody found before."""
    orphan_bytes: int
    due: int
    """Files whose hour of grace is over."""


def tidy(answer: Answer, *, is_dry_run: bool) -> None:
    """Look, and unless it is a dry run take away.

    Raises:
        SchemaTooNew, SchemaTooOld: the database is not of this version.
        StorageFailed: something cannot be read or deleted.
    """
    studio = open_studio(opening.settings_for(answer, is_service=False), queue=SilentQueue())
    try:
        schema.require_current(studio.engine)
        with answer.console.status("Looking"):
            found = _look(studio)
        deleted = 0
        if not is_dry_run:
            with answer.console.status("Deleting"):
                deleted = _take_away(studio)
    finally:
        studio.engine.dispose()
    document = {
        "is_dry_run": is_dry_run,
        "expired": asdict(found.expired),
        "orphans": found.orphans,
        "orphan_bytes": found.orphan_bytes,
        "due_files": found.due,
        "deleted_files": deleted,
    }
    answer.give(document, text=_told(found, deleted=None if is_dry_run else deleted))


def _look(studio: Studio) -> Found:
    with studio.read() as reader:
        expired, due = retention.count(reader), cleaning.count_due(reader)
    orphans = [blob.size_bytes for piece in cleaning.find_orphans(studio) for blob in piece]
    return Found(expired, len(orphans), sum(orphans), due)


def _take_away(studio: Studio) -> int:
    """All that is due now, by the steps that a worker takes; answers how many files went."""
    for _ in retention.retire(studio):
        pass
    for _ in cleaning.doom_orphans(studio):
        pass
    deleted, before = 0, -1
    while (due := _count_due(studio)) not in {0, before}:  # what cannot be deleted stays due
        deleted += cleaning.reap(studio)
        before = due
    return deleted


def _count_due(studio: Studio) -> int:
    with studio.read() as reader:
        return cleaning.count_due(reader)


def _told(found: Found, *, deleted: int | None) -> str:
    expired = found.expired
    text = (
        f"Kept no longer: {expired.jobs} finished jobs and {expired.samples} samples "
        f"({expired.sample_bytes / 1e6:.1f} MB). Files without a row: {found.orphans} "
        f"({found.orphan_bytes / 1e6:.1f} MB). Files whose time is over: {found.due}."
    )
    if deleted is None:
        return f"{text} Nothing was changed."
    return f"{text} Deleted: {deleted} files; what was found just now goes in an hour."
