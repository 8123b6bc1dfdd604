"""What `backup` does."""

from pathlib import Path

from text2song.backup.checking import Verdict, check, require_whole
from text2song.backup.folder import BackupFolder
from text2song.backup.taking import Taken, take
from text2song.cli import opening
from text2song.cli.answer import Answer
from text2song.errors import BlobMissing
from text2song.jobs.queue import SilentQueue
from text2song.studio import open_studio


def back_up(answer: Answer, to: Path, *, keep: int | None) -> None:
    """Take a snapshot, and say what went into it.

    Raises:
        BlobMissing: the snapshot is finished, and usable, but the studio has lost some bytes.
        SetupError, InvalidInput, Conflict, Unavailable: as `backup.taking.take`.
    """
    folder = BackupFolder(to)
    studio = open_studio(opening.settings_for(answer, is_service=False), queue=SilentQueue())
    try:
        with answer.console.status("Writing the rows") as status:
            taken = take(
                studio,
                folder,
                keep=keep,
                watch=lambda seen: status.update(f"Copying: {seen} files looked at"),
            )
    finally:
        studio.engine.dispose()
    document = _document(folder, taken)
    lost = taken.snapshot.manifest.lost
    if lost:
        answer.about |= document
        some = ", ".join(f"{key} ({fate})" for key, fate in sorted(lost.items())[:3])
        raise BlobMissing(
            f"the snapshot {taken.snapshot.name} is finished, but the studio itself has lost {len(lost)} of "
            f"its files: {some}. An older backup may have them."
        )
    answer.give(document, text=_told(folder, taken))


def verify(answer: Answer, place: Path) -> None:
    """Read all of a backup, and say whether it is whole.

    Raises:
        BackupDamaged: it is not.
        InvalidInput: it is no backup, or holds no snapshot.
        Conflict: another process writes to it.
    """
    folder = BackupFolder(place)
    with folder.reading(), answer.console.status("Reading") as status:
        folder.find(None)  # an empty one is no backup
        verdict = check(
            folder,
            tuple(folder.snapshots()),
            watch=lambda seen: status.update(f"Reading: {seen} files looked at"),
        )
    answer.about |= _verified(folder, verdict)
    require_whole(verdict, folder=folder)
    text = (
        f"The backup in {folder.root} is whole: {len(verdict.snapshots)} snapshots, the newest "
        f"{verdict.snapshots[0]}, and {verdict.blobs} files."
    )
    if verdict.lost:
        text += f" {len(verdict.lost)} files were lost before they could be backed up."
    answer.give(answer.about, text=text)


def _document(folder: BackupFolder, taken: Taken) -> dict[str, object]:
    manifest = taken.snapshot.manifest
    return {
        "folder": str(folder.root),
        "snapshot": taken.snapshot.name,
        "schema": manifest.schema,
        "taken_at": manifest.taken_at.isoformat(),
        "rows": sum(table.file.lines for table in manifest.tables),
        "files": manifest.blobs.lines,
        "copied_files": taken.copied,
        "lost_files": sorted(manifest.lost),
        "removed_snapshots": taken.pruned.snapshots,
        "removed_files": taken.pruned.blobs,
    }


def _told(folder: BackupFolder, taken: Taken) -> str:
    manifest = taken.snapshot.manifest
    rows = sum(table.file.lines for table in manifest.tables)
    text = (
        f"The snapshot {taken.snapshot.name} is in {folder.root}: {rows} rows and {manifest.blobs.lines} "
        f"files, {taken.copied} of them new."
    )
    if taken.pruned.snapshots:
        text += f" {taken.pruned.snapshots} older snapshots went, and {taken.pruned.blobs} files."
    return text


def _verified(folder: BackupFolder, verdict: Verdict) -> dict[str, object]:
    return {
        "folder": str(folder.root),
        "snapshots": list(verdict.snapshots),
        "files": verdict.blobs,
        "faults": list(verdict.faults),
        "lost_files": list(verdict.lost),
    }
