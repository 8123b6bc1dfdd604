"""Snapshots that are old enough go, and the blobs that no snapshot names any more."""

from dataclasses import dataclass

from text2song.backup.folder import BackupFolder, Snapshot
from text2song.backup.rows import read_lines
from text2song.blobs.keys import digest_in


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went."""

    snapshots: int = 0
    blobs: int = 0


def prune(folder: BackupFolder, *, keep: int | None) -> Pruned:
    """Keep the newest `keep` snapshots (None: all) and what they name; the folder must be locked.

    Snapshots go before their blobs, so that a killed process leaves none without its bytes.

    Raises:
        BackupDamaged: a snapshot that cannot be read; nobody knows which blobs it needs, so all stay.
    """
    if keep is None:
        return Pruned()
    snapshots = folder.snapshots()
    kept, gone = snapshots[:keep], snapshots[keep:]
    needed = {digest for snapshot in kept for digest in _digests(snapshot)}
    folder.remove(gone)
    unneeded = [key for key in folder.stored_keys() if bytes.fromhex(digest_in(key)) not in needed]
    blobs = folder.blobs
    for key in unneeded:
        blobs.delete(key)
    return Pruned(len(gone), len(unneeded))


def _digests(snapshot: Snapshot) -> list[bytes]:
    """Of the blobs that it names: a fifth of the memory that their keys would take."""
    keys = read_lines(snapshot.folder / snapshot.manifest.blobs.name)
    return [bytes.fromhex(digest_in(key)) for key in keys]
