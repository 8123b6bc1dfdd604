"""`text2song.json`: what the studio knows of a model folder beyond the files' own words. Needs no torch.

A folder without it, such as a Hugging Face checkout, is still a model: its name is then its folder's,
its revision `local`, its licence unknown, and it counts as trained, unless its bytes are those of the
untrained model: noise must not pass as music because one file was lost.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from text2song.errors import ModelCorrupt
from text2song.model.configuration import CONFIG_NAME
from text2song.model.weights import SINGLE_NAME, fingerprint
from text2song.music.vocabulary import Vocabulary
from text2song.names import BUNDLED_FOLDER, BUNDLED_MODEL, NOISE_MODEL, OWN_MODELS

MANIFEST_NAME: Final = "text2song.json"
UNTRAINED: Final = {
    6_431_600: "ceaf0921a32ba7cdd402d2c30822586bc7f48eb98751c3fe4a21008f6893bbac",
    10_627_856: "977fb41d2f447b81701e1045bf668ab46d175cf91455ad6cf4a80fff5c7d6d96",
}
"""The fingerprints of the untrained models that the studio builds, by the size of their weights in bytes."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """Identity and licence of a model folder."""

    id: str
    revision: str = "local"
    license: str = "unknown"
    is_trained: bool = True
    vocabulary: Vocabulary | None = None
    """Of a small model; one of another form is passed over, since it changes no sound."""
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
            "vocabulary": self.vocabulary and self.vocabulary.as_json(),
            "fingerprint": self.fingerprint,
            "size_bytes": self.size_bytes,
        }

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The folder's manifest, or what stands for one.

        Raises:
            ModelCorrupt: there is one, and it cannot be understood; or there is none, where one of the
                studio's own models should be and is not.
        """
        path = folder / MANIFEST_NAME
        if not path.is_file():
            is_noise = _is_noise(folder)
            own = own_model_in(folder)
            if own is not None and not is_noise:
                raise ModelCorrupt(f"{folder} has lost its {MANIFEST_NAME}. {repair(own)}")
            return cls(id=folder.name, is_trained=not is_noise)
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            manifest = cls(
                id=raw["id"],
                revision=raw["revision"],
                license=raw["license"],
                is_trained=raw["is_trained"],
                vocabulary=Vocabulary.read(raw.get("vocabulary")),
                fingerprint=raw.get("fingerprint"),
                size_bytes=raw.get("size_bytes"),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            advice = repair(own_model_in(folder))
            raise ModelCorrupt(f"{path} is damaged ({error!r}). {advice}") from error
        if not all(isinstance(raw[name], str) and raw[name] for name in ("id", "revision", "license")):
            advice = repair(own_model_in(folder))
            raise ModelCorrupt(f"{path}: id, revision and license must be text. {advice}")
        return manifest

    def contradiction(self, digest: str | None) -> str | None:
        """Why files of that fingerprint cannot be this model's, for a person; None where they may be."""
        if self.fingerprint in (None, digest):
            return None
        return f"Its files are not what they were when they came. {repair(self.id)}"

    def write(self, folder: Path) -> None:
        """Store it in the folder."""
        text = json.dumps(self.as_json(), indent=2) + "\n"
        (folder / MANIFEST_NAME).write_text(text, encoding="utf-8")


def own_model_in(folder: Path) -> str | None:
    """Which of the studio's own models should be in a folder of that name."""
    return next((model_id for model_id, name in OWN_MODELS.items() if name == folder.name), None)


def repair(model_id: str | None) -> str:
    """What to do about damaged files of that model; None for any."""
    if model_id == BUNDLED_MODEL:
        return (
            "It came with the program: install that again (in a clone, `git checkout -- "
            f"src/text2song/{BUNDLED_FOLDER}` brings it back)."
        )
    if model_id == NOISE_MODEL:
        return "The studio builds its own untrained model again at the next start; remove any other copy."
    return "Download it again with `text2song model add`."


def _is_noise(folder: Path) -> bool:
    """Whether the folder holds an untrained model to the last byte; most are told by their size alone."""
    weights = folder / SINGLE_NAME
    if not (folder / CONFIG_NAME).is_file() or not weights.is_file():
        return False
    known = UNTRAINED.get(weights.stat().st_size)
    return known is not None and fingerprint(folder) == known
