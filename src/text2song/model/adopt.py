"""Copy a model folder from elsewhere on this machine into the library, whole or not at all; without torch."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from text2song.errors import Conflict, ModelMissing, ModelUnsupported, StorageFailed
from text2song.model.configuration import CONFIG_NAME, read_configuration
from text2song.model.conversion import convert_apart
from text2song.model.incoming import (
    COPY_REVISION,
    TOKENIZER_NAME,
    WELCOME_NAMES,
    OnProgress,
    alone_in,
    disk_errors,
    incoming_for,
    is_pickle,
    put,
    require_space,
    start_afresh,
    sweep_beside,
    write_manifest,
)
from text2song.model.library import folder_for, refuse_own
from text2song.model.manifest import Manifest
from text2song.model.weights import PICKLE_NAMES, SINGLE_NAME, fingerprint, weight_files


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
        StorageFailed: a file of it cannot be read.
        InvalidInput: it is one of the studio's own models, or named like it.
    """
    read_configuration(folder)
    weights, needs_conversion = _weights(folder)
    welcome = (name for name in WELCOME_NAMES if (folder / name).is_file())
    names = [CONFIG_NAME, TOKENIZER_NAME, *welcome, *weights]
    for name in names:
        if not (folder / name).is_file():
            raise ModelMissing(
                f"{folder} lacks {name}, without which it cannot be played. Copy that file there from where "
                "the model came from, then try again."
            )
        if not os.access(folder / name, os.R_OK):
            raise StorageFailed(f"{folder / name} cannot be read: see to its owner and permissions.")
    files = tuple(FolderFile(name, (folder / name).stat().st_size) for name in names)
    manifest = Manifest.read(folder)
    refuse_own(manifest.id)
    return FolderPlan(folder, manifest, files, needs_conversion)


def adopt(wanted: FolderPlan, models_folder: Path, *, on_progress: OnProgress) -> Path:
    """Copy the folder into the library, converting pickles; answers the new folder.

    Raises:
        InvalidInput: its name cannot be a model's.
        Conflict: the library has another model of that name.
        DownloadFailed: another process adds the same model.
        StorageFull, StorageFailed: the disk has no room, or the folder of models cannot be written to.
        ModelCorrupt: the pickled weights were refused.
    """
    target = folder_for(models_folder, wanted.id)
    incoming = incoming_for(target, revision=COPY_REVISION)
    with disk_errors(models_folder, after="nothing half made stays behind"), alone_in(incoming):
        sweep_beside(incoming)
        start_afresh(incoming)
        try:
            if target.exists():
                _require_same(wanted, target)
            else:
                _bring(wanted, incoming, on_progress=on_progress)
                put(incoming, target)
        finally:
            shutil.rmtree(incoming, ignore_errors=True)
    on_progress(wanted.size_bytes, wanted.size_bytes)
    return target


def _require_same(wanted: FolderPlan, target: Path) -> None:
    if wanted.needs_conversion or fingerprint(target) != fingerprint(wanted.folder):
        raise Conflict(
            f"the library has another {wanted.id} already, at {target}: move that folder away first."
        )


def _bring(wanted: FolderPlan, incoming: Path, *, on_progress: OnProgress) -> None:
    # What is converted is as large as what it is converted from, which stays where it is.
    require_space(wanted.id, needed_bytes=wanted.size_bytes, incoming=incoming)
    done_bytes = 0
    for file in wanted.files:
        if not is_pickle(file.name):
            shutil.copyfile(wanted.folder / file.name, incoming / file.name)
        done_bytes += file.size_bytes
        on_progress(done_bytes, wanted.size_bytes)
    if wanted.needs_conversion:
        convert_apart(wanted.folder, incoming)
    write_manifest(incoming, wanted.manifest)


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
