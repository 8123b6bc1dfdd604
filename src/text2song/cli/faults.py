"""What goes wrong below a command, as an error with a message for the person who typed it."""

import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from text2song.disks import FULL_MESSAGE, is_disk_full
from text2song.errors import MissingPart, StorageFailed, StorageFull, StudioError
from text2song.names import INSTALLING

_PARTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "celery": "celery",
        "huggingface_hub": "model",
        "kombu": "celery",
        "llvmlite": "model",
        "redis": "celery",
        "tokenizers": "model",
        "torch": "model",
    }
)
"""Which extra brings a package; all others come with `server`."""


def explained(error: Exception) -> StudioError | None:
    """The error that a person can act on; None for a fault of ours."""
    if isinstance(error, StudioError):
        return error
    if isinstance(error, ModuleNotFoundError):
        return _missing_part(error)
    if isinstance(error, OSError) and is_disk_full(error):
        return StorageFull(FULL_MESSAGE)
    if isinstance(error, OSError) and error.filename is not None:
        return StorageFailed(f"{error.filename} cannot be used ({error.strerror}): check it, then try again.")
    if "sqlalchemy" in sys.modules:
        from text2song.db.faults import explain  # noqa: PLC0415  # no need to load the database to say so

        return explain(error)
    return None


def _missing_part(error: ModuleNotFoundError) -> MissingPart | None:
    name = (error.name or "").partition(".")[0]
    if not name or name == "text2song":
        return None
    extra = _PARTS.get(name, "server")
    everything = "" if extra == "celery" else ", or with [studio] for everything"
    return MissingPart(
        f"this command needs the package {name}, which is not installed: "
        f"{INSTALLING.format(extra=extra)}{everything}."
    )
