"""What a snapshot says of itself: its schema, and the digest of every file that belongs to it.

The manifest is written last. A snapshot without one was never finished, and counts for nothing.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, StringConstraints, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from text2song.artifacts.digest import sha256_hex
from text2song.errors import BackupDamaged

FORMAT: Final = 1
_STRICT: Final = ConfigDict(extra="forbid")
Kind = Literal["uuid", "moment", "json", "bytes", "boolean", "number", "text"]
"""What the values of a column are, in words that no database owns."""
Name = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]{0,62}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]{0,62}\.(jsonl|txt)\.gz$")]
"""A plain name: a manifest that somebody wrote by hand must not lead out of its folder."""
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class WrittenFile:
    """One compressed file, and what its bytes must be."""

    name: FileName
    size_bytes: int
    sha256: Digest
    lines: int


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class SavedTable:
    """The rows of one table, one JSON object a line; a column that is NULL is left out."""

    name: Name
    columns: Mapping[Name, Kind]
    file: WrittenFile


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Manifest:
    """One snapshot."""

    format: Literal[1] = FORMAT
    text2song: str
    """The version that took it."""
    schema: str
    """The revision of the database."""
    taken_at: dt.datetime
    """The moment that the rows show."""
    tables: tuple[SavedTable, ...]
    """In an order in which they can be filled."""
    blobs: WrittenFile
    """The keys of all bytes that the rows name, one a line, sorted."""
    lost: Mapping[str, Literal["missing", "damaged"]] = field(default_factory=dict)
    """Bytes that the studio itself did not have any more when the snapshot was taken."""


_MANIFEST: Final = TypeAdapter(Manifest)


def to_bytes(manifest: Manifest) -> bytes:
    """The file: a line with the digest of all that follows, then readable JSON."""
    body = _MANIFEST.dump_json(manifest, indent=2) + b"\n"
    return b"sha256:" + sha256_hex(body).encode() + b"\n" + body


def from_bytes(data: bytes, *, place: str) -> Manifest:
    """What `to_bytes` wrote; `place` names the file in a message.

    Raises:
        BackupDamaged: it is anything else.
    """
    head, _, body = data.partition(b"\n")
    if head != b"sha256:" + sha256_hex(body).encode():
        raise BackupDamaged(f"{place} is damaged: use another snapshot, or another copy of this backup.")
    try:
        return _MANIFEST.validate_json(body)
    except ValidationError as error:
        raise BackupDamaged(
            f"{place} cannot be read; a newer version of the studio may have written it, so install that "
            "version."
        ) from error
