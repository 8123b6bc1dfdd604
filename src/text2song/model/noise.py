"""A tiny untrained MusicGen: the studio's stand-in until a trained model is there, and the tests' model.

It has MusicGen's architecture and file format, and transformers loads it unchanged; its weights are
noise, and so is its sound. The same seed gives the same bytes, and so the same fingerprint, on every
machine, whatever its processor and whatever the version of torch, as long as safetensors lays out its
files as it does (see `noise_weights.py`).
"""

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from safetensors.torch import save_file

from text2song.errors import ModelCorrupt, ModelError, ModelMissing
from text2song.model.configuration import CONFIG_NAME, read_configuration
from text2song.model.incoming import (
    disk_errors,
    in_turn,
    incoming_for,
    put,
    start_afresh,
    sweep_beside,
    write_manifest,
)
from text2song.model.manifest import MANIFEST_NAME, Manifest
from text2song.model.noise_files import small_files
from text2song.model.noise_weights import noise_weights
from text2song.model.weights import SINGLE_NAME, STAMP_NAME, fingerprint
from text2song.names import NOISE_MODEL

log = logging.getLogger(__name__)

_RECIPE: Final = 1
"""Rises when the same seed would give other bytes."""
_AFTER: Final = "nothing half made stays behind"


def build_noise_model(folder: Path, *, seed: int = 0, audio_channels: int = 1) -> Path:
    """Make the model in `folder`, unless it is there already and whole; answers `folder`.

    Whatever was damaged or lost is made again. Built beside the folder, one process at a time, and moved
    there at the end, so that a killed process leaves nothing half made. Files of other names that lay
    there are kept beside it.

    Raises:
        ModelMissing: something else is in that place.
        StorageFull, StorageFailed: the disk has no room, or the place cannot be written to.
    """
    manifest = Manifest(
        id=NOISE_MODEL,
        revision=f"recipe-{_RECIPE}-seed-{seed}-channels-{audio_channels}",
        license="Apache-2.0",
        is_trained=False,
    )
    files = _small_files(audio_channels)
    if _is_whole(folder, manifest, files):
        return folder
    incoming = incoming_for(folder, revision=manifest.revision)
    with disk_errors(folder.parent, after=_AFTER), in_turn(incoming):
        if not _is_whole(folder, manifest, files):  # or another process has just built it
            _require_place(folder, files)
            sweep_beside(incoming)
            _build(incoming, manifest, files, seed=seed)
            _keep_foreign(folder, files)
            put(incoming, folder)
        else:
            incoming.rmdir()
    return folder


def _small_files(audio_channels: int) -> dict[str, str]:
    """The text of every file but the weights and the manifest, by its name."""
    contents = small_files(audio_channels=audio_channels)
    return {name: json.dumps(content, indent=1) + "\n" for name, content in contents.items()}


def _is_whole(folder: Path, wanted: Manifest, files: Mapping[str, str]) -> bool:
    """Whether every file is there as it was built."""
    try:
        manifest = Manifest.read(folder)
        is_right = (manifest.id, manifest.revision) == (wanted.id, wanted.revision)
        return is_right and manifest.fingerprint == fingerprint(folder) and _has(folder, files)
    except (ModelError, OSError):
        return False


def _has(folder: Path, files: Mapping[str, str]) -> bool:
    return all((folder / name).read_bytes() == text.encode() for name, text in files.items())


def _require_place(folder: Path, files: Mapping[str, str]) -> None:
    """Let nobody's folder be built over: what is there must be an untrained model, in whatever state.

    Raises:
        ModelMissing: it is not.
    """
    if folder.exists() and not _is_ours(folder, files):
        raise ModelMissing(
            f"{folder} is in the way: it is not the noise model. Move it, or choose another folder."
        )


def _is_ours(folder: Path, files: Mapping[str, str]) -> bool:
    """By its manifest; where that is lost or damaged, by its configuration, which no other model has.

    Where that is damaged too (a power cut can empty every file), by the names: nothing else lies there.
    """
    if (folder / MANIFEST_NAME).is_file():
        try:
            return Manifest.read(folder).id == NOISE_MODEL
        except ModelCorrupt:
            pass
    try:
        return (folder / CONFIG_NAME).read_bytes() == files[CONFIG_NAME].encode() or (
            not _foreign(folder, files) and not _is_json(folder / CONFIG_NAME)
        )
    except FileNotFoundError:
        return not _foreign(folder, files)
    except OSError:
        return False


def _is_json(path: Path) -> bool:
    """Whether it says something: then it is another model's configuration."""
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True


def _foreign(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """What lies in the folder and was not written here."""
    ours = {*files, SINGLE_NAME, MANIFEST_NAME, STAMP_NAME}
    return sorted(path for path in folder.iterdir() if path.name not in ours)


def _keep_foreign(folder: Path, files: Mapping[str, str]) -> None:
    """Move what a person laid beside the model out of the folder that is about to go."""
    if not folder.is_dir() or not (foreign := _foreign(folder, files)):
        return
    number = 1
    while (aside := folder.with_name(f"{folder.name}.kept-{number}")).exists():
        number += 1
    aside.mkdir()
    for path in foreign:
        path.rename(aside / path.name)
    names = ", ".join(path.name for path in foreign)
    log.warning("%s was damaged and is built again; %s is not its own and is now in %s", folder, names, aside)


def _build(incoming: Path, manifest: Manifest, files: Mapping[str, str], *, seed: int) -> None:
    start_afresh(incoming)
    try:
        for name, text in files.items():
            (incoming / name).write_bytes(text.encode())
        weights = noise_weights(read_configuration(incoming), seed=seed)
        save_file(weights, incoming / SINGLE_NAME, metadata={"format": "pt"})
        write_manifest(incoming, manifest)
    except BaseException:
        shutil.rmtree(incoming, ignore_errors=True)
        raise
