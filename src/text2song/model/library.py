"""The folder of models on this machine: what is there, and where a model's files are. Needs no torch.

models/
├── untrained-noise/             each folder holds config.json, weights, tokenizer.json, text2song.json
├── facebook--musicgen-small/    a hub id with -- for its slash
└── .incoming/                   downloads that are not finished

One model lies elsewhere: the small one that comes with the package is read where it was installed.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import text2song
from text2song.errors import InvalidInput, ModelCorrupt, ModelError, ModelMissing
from text2song.model.configuration import CONFIG_NAME
from text2song.model.manifest import Manifest, own_model_in, repair
from text2song.model.weights import fingerprint, weight_files
from text2song.music.vocabulary import Vocabulary
from text2song.names import BUNDLED_FOLDER, BUNDLED_MODEL, NOISE_FOLDER, NOISE_MODEL, OWN_MODELS

BUNDLED_PLACE: Final = Path(text2song.__file__).parent / BUNDLED_FOLDER
"""Where the package's own model is, perhaps in a folder that only root may write to."""
INCOMING_NAME: Final = ".incoming"
_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_ID: Final = re.compile(rf"{_NAME}(/{_NAME})?")


@dataclass(frozen=True, slots=True)
class StoredModel:
    """One folder of the library."""

    folder: Path
    id: str
    revision: str
    license: str
    is_trained: bool
    vocabulary: Vocabulary | None
    """Of a small model."""
    fingerprint: str | None
    """None where the files are not whole."""
    size_bytes: int
    """Of the weights."""
    problem: str | None = None
    """Why it cannot be served, for a person; None if nothing is known against it."""


def require_model_id(value: str) -> str:
    """`value` as a model id: `name` or `owner/name`, as the Hugging Face hub has them.

    Raises:
        InvalidInput: it has other characters, or could point out of the folder of models.
    """
    if not _ID.fullmatch(value) or ".." in value or "--" in value or value.endswith((".", "-")):
        raise InvalidInput(
            f"{value[:100]!r} is not the id of a model. An id looks like facebook/musicgen-small: letters, "
            "digits, '.', '_' and '-', with one '/' at most. To use a folder, give its full path.",
            field="model",
        )
    return value


def refuse_own(model_id: str) -> None:
    """Say no to bringing one of the studio's own models from anywhere, or another one under its name.

    Raises:
        InvalidInput: that is the name of one, or of its folder.
    """
    if model_id in {*OWN_MODELS, *OWN_MODELS.values()}:
        raise InvalidInput(
            f"the studio has {model_id} by itself: there is nothing to add. For a larger one, add "
            "facebook/musicgen-small.",
            field="model",
        )


def folder_for(models_folder: Path, model_id: str) -> Path:
    """Where the model of that id lives in the library, whether it is there or not.

    Raises:
        InvalidInput: see `require_model_id`.
    """
    if model_id == NOISE_MODEL:
        return models_folder / NOISE_FOLDER
    return models_folder / require_model_id(model_id).replace("/", "--")


def resolve(models_folder: Path, id_or_path: str | Path) -> Path:
    """The folder of a model: by its id, or by the full path of a folder anywhere.

    A path is for the machine's owner to say (settings, command line), never for a request.

    Raises:
        InvalidInput: it is neither an id nor a full path.
        ModelMissing: it is not on this machine; the message says how to get it.
        ModelCorrupt: it is the package's own, and not whole: the message says that only the package mends it.
    """
    if id_or_path == BUNDLED_MODEL:
        return _whole_bundled()
    path = Path(id_or_path).expanduser()
    if isinstance(id_or_path, Path) or path.is_absolute():
        if path.is_dir():
            return path
        raise ModelMissing(f"There is no model folder at {path}. Give the path of one, or the id of a model.")
    folder = folder_for(models_folder, id_or_path)
    if folder.is_dir():
        return folder
    if id_or_path == NOISE_MODEL:  # built where it belongs, though a copy may lie elsewhere
        raise ModelMissing(
            f"{id_or_path} is not there yet: the studio builds it when it is first to play it."
        )
    for stored in _folders(models_folder):  # a folder may be named otherwise than its model
        if _id_or_none(stored) == id_or_path:
            return stored
    raise ModelMissing(
        f"The model {id_or_path} is not on this machine. Download it with "
        f"`text2song model add {id_or_path}`, or see what is there with `text2song model list`."
    )


def list_models(models_folder: Path) -> tuple[StoredModel, ...]:
    """Every model of the library, also those that are damaged, in the order of their folders' names."""
    return tuple(_describe(folder) for folder in _folders(models_folder))


def bundled_model() -> StoredModel:
    """The one that comes with the package, which is in no library."""
    return _describe(BUNDLED_PLACE)


def _whole_bundled() -> Path:
    found = bundled_model()
    if found.problem is not None:
        raise ModelCorrupt(f"{BUNDLED_MODEL} cannot be played. {found.problem}")
    return found.folder


def _folders(models_folder: Path) -> list[Path]:
    if not models_folder.is_dir():
        return []
    return sorted(f for f in models_folder.iterdir() if (f / CONFIG_NAME).is_file() and f.name[0] != ".")


def _id_or_none(folder: Path) -> str | None:
    try:
        return Manifest.read(folder).id
    except ModelError:
        return None


def _describe(folder: Path) -> StoredModel:
    try:
        manifest, problem = Manifest.read(folder), None
    except ModelError as error:
        manifest, problem = Manifest(id=own_model_in(folder) or folder.name), error.message
    digest, size_bytes = None, 0
    try:
        digest = fingerprint(folder)
        size_bytes = sum(path.stat().st_size for path in weight_files(folder))
    except (ModelError, OSError) as error:
        is_own = manifest.id in OWN_MODELS
        problem = problem or (f"Its files are not whole. {repair(manifest.id)}" if is_own else str(error))
    return StoredModel(
        folder=folder,
        id=manifest.id,
        revision=manifest.revision,
        license=manifest.license,
        is_trained=manifest.is_trained,
        vocabulary=manifest.vocabulary,
        fingerprint=digest,
        size_bytes=size_bytes,
        problem=problem or manifest.contradiction(digest),
    )
