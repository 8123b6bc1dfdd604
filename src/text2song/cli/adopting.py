"""A model folder from elsewhere on this machine, copied into the library: whole, or not at all."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from text2song.errors import Conflict, ModelMissing, ModelUnsupported
from text2song.model.configuration import CONFIG_NAME, read_configuration
from text2song.model.conversion import convert_apart
from text2song.model.download import OnProgress
from text2song.model.library import INCOMING_NAME, folder_for
from text2song.model.manifest import Manifest
from text2song.model.weights import PICKLE_NAMES, SINGLE_NAME, fingerprint, weight_files

WANTED: tuple[str, ...] = (CONFIG_NAME, "tokenizer.json")
"""What a folder must have beside its weights."""
WELCOME: tuple[str, ...] = (
    "generation_config.json",
    "preprocessor_config.json",
    "special_tokens_map.json",
    "tokenizer_config.json",
    "LICENSE",
)


@dataclass(frozen=True, slots=True)
class FolderFile:
    """One file to copy."""

    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class FolderPlan:
    """What copying a folder would bring."""

    folder: Path
    manifest: Manifest
    files: tuple[FolderFile, ...]
    needs_conversion: bool

    @property
    def id(self) -> str:
        """How requests will name it."""
        return self.manifest.id

    @property
    def revision(self) -> str:
        """`local`, where the folder does not say."""
        return self.manifest.revision

    @property
    def license(self) -> str:
        """`unknown`, where the folder does not say."""
        return self.manifest.license

    @property
    def size_bytes(self) -> int:
        """Of all files together."""
        return sum(file.size_bytes for file in self.files)


def plan_folder(folder: Path) -> FolderPlan:
    """Look at a folder; nothing is changed.

    Raises:
        ModelMissing, ModelCorrupt, ModelUnsupported: it is no model folder that the studio can play.
    """
    read_configuration(folder)
    weights, needs_conversion = _weights(folder)
    names = [*WANTED, *(name for name in WELCOME if (folder / name).is_file()), *weights]
    for name in names:
        if not (folder / name).is_file():
            raise ModelMissing(f"{folder} lacks {name}, without which it cannot be played.")
    files = tuple(FolderFile(name, (folder / name).stat().st_size) for name in names)
    return FolderPlan(folder, Manifest.read(folder), files, needs_conversion)


def adopt(wanted: FolderPlan, models_folder: Path, *, on_progress: OnProgress) -> Path:
    """Copy the folder into the library, converting pickles; answers the new folder.

    Raises:
        InvalidInput: its name cannot be a model's.
        Conflict: the library has another model of that name.
        ModelCorrupt: the pickled weights were refused.
    """
    target = folder_for(models_folder, wanted.id)
    if target.exists():
        if not wanted.needs_conversion and fingerprint(target) == fingerprint(wanted.folder):
            on_progress(wanted.size_bytes, wanted.size_bytes)
            return target
        raise Conflict(
            f"the library has another {wanted.id} already, at {target}: move that folder away first."
        )
    incoming = models_folder / INCOMING_NAME
    incoming.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=incoming))
    try:
        _copy(wanted, draft, on_progress=on_progress)
        draft.chmod(0o755)  # mkdtemp's folders are private
        draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def _weights(folder: Path) -> tuple[list[str], bool]:
    """The names of the weight files, and whether they are pickles."""
    try:
        paths = weight_files(folder)
    except ModelUnsupported:  # only pickles
        shards = sorted(path.name for path in folder.glob("pytorch_model-*.bin"))
        return [*(name for name in PICKLE_NAMES if (folder / name).is_file()), *shards], True
    index = [path.name for path in folder.glob("*.safetensors.index.json")]
    is_sharded = [path.name for path in paths] != [SINGLE_NAME]
    return [*(index if is_sharded else ()), *(path.name for path in paths)], False


def _copy(wanted: FolderPlan, draft: Path, *, on_progress: OnProgress) -> None:
    done_bytes = 0
    for file in wanted.files:
        is_pickle = file.name in PICKLE_NAMES or file.name.endswith(".bin")
        if not is_pickle:
            shutil.copyfile(wanted.folder / file.name, draft / file.name)
        done_bytes += file.size_bytes
        on_progress(done_bytes, wanted.size_bytes)
    if wanted.needs_conversion:
        convert_apart(wanted.folder, draft)
    Manifest(
        id=wanted.id,
        revision=wanted.revision,
        license=wanted.license,
        is_trained=wanted.manifest.is_trained,
        vocabulary=wanted.manifest.vocabulary,
        fingerprint=fingerprint(draft),
        size_bytes=sum(path.stat().st_size for path in weight_files(draft)),
    ).write(draft)
