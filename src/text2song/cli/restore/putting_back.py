"""What `restore` does."""

from pathlib import Path

from text2song.backup.folder import BackupFolder
from text2song.backup.restoring import Restored, restore
from text2song.cli import opening
from text2song.cli.answer import Answer
from text2song.jobs.queue import SilentQueue
from text2song.settings import Settings
from text2song.studio import open_studio, utc_now


def put_back(answer: Answer, source: Path, *, name: str | None, replaces: bool, aside: Path | None) -> None:
    """Restore, and say what came back.

    Raises:
        BackupDamaged, SetupError, InvalidInput, Conflict, Unavailable: as `backup.restoring.restore`.
    """
    settings = opening.settings_for(answer, is_service=False)
    studio = open_studio(settings, queue=SilentQueue())
    try:
        with answer.console.status("Checking the backup") as status:
            restored = restore(
                studio,
                BackupFolder(source),
                name=name,
                aside=(aside or _usual_aside(settings)) if replaces else None,
                watch=lambda seen: status.update(f"{seen} files looked at"),
            )
    finally:
        studio.engine.dispose()
    answer.give(_document(restored), text=_told(restored))


def _usual_aside(settings: Settings) -> Path:
    return settings.home / "backups" / f"before-restore-{utc_now():%Y%m%dT%H%M%SZ}"


def _document(restored: Restored) -> dict[str, object]:
    return {
        "snapshot": restored.snapshot.name,
        "taken_at": restored.snapshot.manifest.taken_at.isoformat(),
        "rows": restored.rows,
        "files": restored.snapshot.manifest.blobs.lines - restored.lost,
        "requeued_jobs": restored.requeued,
        "lost_files": restored.lost,
        "aside": str(restored.aside) if restored.aside else None,
    }


def _told(restored: Restored) -> str:
    text = (
        f"The studio is as it was at {restored.snapshot.manifest.taken_at:%Y-%m-%d %H:%M:%S} UTC: "
        f"{restored.rows} rows and {restored.snapshot.manifest.blobs.lines - restored.lost} files."
    )
    if restored.requeued:
        text += f" {restored.requeued} jobs that were running then wait again."
    if restored.lost:
        text += f" {restored.lost} files were lost before the backup."
    if restored.aside:
        text += f" What was here before is kept in {restored.aside}."
    return text
