"""`text2song.json`: what the studio knows of a model folder beyond the files' own words. Needs no torch.

A folder without it, such as a Hugging Face checkout, is still a model: its name is then its folder's,
its revision `local`, its licence unknown, and it counts as trained.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from text2song.errors import ModelCorrupt

MANIFEST_NAME: Final = "text2song.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """Identity and licence of a model folder."""

    id: str
    revision: str = "local"
    license: str = "unknown"
    is_trained: bool = True
    vocabulary: dict[str, Any] | None = None
    fingerprint: str | None = None
    """Of the files as they came; other bytes later mean damage. See `weights.fingerprint`."""
    size_bytes: int | None = None
    """Of the weight files."""

    def as_json(self) -> dict[str, Any]:
        """The stored form."""
        return {
            "id": self.id,
            "revision": self.revision,
            "license": self.license,
            "is_trained": self.is_trained,
            "vocabulary": self.vocabulary,
            "fingerprint": self.fingerprint,
            "size_bytes": self.size_bytes,
        }

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The folder's manifest, or what stands for one.

        Raises:
            ModelCorrupt: there is one, and it cannot be understood.
        """
        path = folder / MANIFEST_NAME
        if not path.is_file():
            return cls(id=folder.name)
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            manifest = cls(
                id=raw["id"],
                revision=raw["revision"],
                license=raw["license"],
                is_trained=raw["is_trained"],
                vocabulary=raw.get("vocabulary"),
                fingerprint=raw.get("fingerprint"),
                size_bytes=raw.get("size_bytes"),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelCorrupt(f"{path} is damaged ({error!r}). Download the model again.") from error
        if not all(isinstance(raw[name], str) and raw[name] for name in ("id", "revision", "license")):
            raise ModelCorrupt(f"{path}: id, revision and license must be text. Download the model again.")
        return manifest

    def write(self, folder: Path) -> None:
        """Store it in the folder."""
        text = json.dumps(self.as_json(), indent=2) + "\n"
        (folder / MANIFEST_NAME).write_text(text, encoding="utf-8")
