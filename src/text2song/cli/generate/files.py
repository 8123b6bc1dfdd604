"""Takes as files: where they go is settled before the work starts, and nothing is overwritten unasked."""

import errno
import os
import uuid
from dataclasses import dataclass
from pathlib import Path

from text2song.disks import is_disk_full
from text2song.errors import InvalidInput, StorageFailed, StorageFull
from text2song.sound.files import AudioFormat, format_named


@dataclass(frozen=True, slots=True)
class FilePlan:
    """Where each take goes."""

    into: AudioFormat
    paths: tuple[Path, ...]
    is_forced: bool
    """Whether files that exist are overwritten."""

    def write(self, take: int, data: bytes) -> Path:
        """Write one take (0 for the first): all of it, or nothing.

        Raises:
            InvalidInput: the file came into being since the plan was made.
            StorageFull, StorageFailed: it cannot be written.
        """
        path = self.paths[take]
        draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
        try:
            _write(draft, data)
            _put(draft, path, is_forced=self.is_forced)
        except OSError as error:
            raise _told(error, path) from error
        finally:
            draft.unlink(missing_ok=True)
        return path


def plan_files(out: Path, *, takes: int, is_forced: bool) -> FilePlan:
    """Settle the names of `takes` files.

    Raises:
        InvalidInput: the format is unknown, the folder is not there, or a file is in the way.
    """
    suffix = out.suffix.lower().removeprefix(".")
    if not suffix:
        raise InvalidInput(
            f"--out {out} does not say a format: end it in .flac, .wav, .mp3 or .ogg.", field="--out"
        )
    into = format_named(suffix)
    folder = out.parent
    if not folder.is_dir():
        raise InvalidInput(f"--out: there is no folder {folder}. Make it first.", field="--out")
    if not os.access(folder, os.W_OK):
        raise InvalidInput(f"--out: the folder {folder} cannot be written to. Choose another.", field="--out")
    names = [out.name] if takes == 1 else [f"{out.stem}-{n}{out.suffix}" for n in range(1, takes + 1)]
    paths = tuple(folder / name for name in names)
    for path in paths:
        if path.is_dir():
            raise InvalidInput(f"--out: {path} is a folder. Name a file in it.", field="--out")
        if path.exists() and not is_forced:
            raise InvalidInput(
                f"{path} exists already and was not touched. Choose another name, or say --force.",
                field="--out",
            )
    return FilePlan(into, paths, is_forced)


def _write(draft: Path, data: bytes) -> None:
    with draft.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _put(draft: Path, path: Path, *, is_forced: bool) -> None:
    """Give the finished draft its name; without force, only where nothing has that name."""
    if is_forced:
        draft.replace(path)
        return
    try:
        path.hardlink_to(draft)  # unlike a rename, it fails where there is a file
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if path.exists():
            raise FileExistsError(errno.EEXIST, "exists", str(path)) from None
        draft.rename(path)


def _told(error: OSError, path: Path) -> InvalidInput | StorageFull | StorageFailed:
    kept = "The take is kept in the studio."
    if isinstance(error, FileExistsError):
        return InvalidInput(f"{path} came into being meanwhile and was not touched. {kept}", field="--out")
    if is_disk_full(error):
        return StorageFull(f"the disk is full, so {path} could not be written. {kept} Free some space.")
    return StorageFailed(f"{path} could not be written ({error.strerror}). {kept}")
