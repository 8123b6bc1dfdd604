"""A tiny untrained MusicGen: the studio's stand-in until a trained model is there, and the tests' model.

It has MusicGen's architecture and file format, and transformers loads it unchanged; its weights are
noise, and so is its sound. The same seed gives the same bytes, and so the same fingerprint, on every
machine, whatever its processor and whatever the version of torch, as long as safetensors lays out its
files as it does (see `noise_weights.py`).
"""

import json
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
from text2song.model.weights import SINGLE_NAME, fingerprint
from text2song.names import NOISE_MODEL

_RECIPE: Final = 1
"""Rises when the same seed would give other bytes."""
_AFTER: Final = "nothing half made stays behind"


def build_noise_model(folder: Path, *, seed: int = 0, audio_channels: int = 1) -> Path:
    """Make the model in `folder`, unless it is there already and whole; answers `folder`.

    Whatever was damaged or lost is made again. Built beside the folder, one process at a time, and moved
    there at the end, so that a killed process leaves nothing half made.

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
    """By its manifest; where that is lost or damaged, by its configuration, which no other model has."""
    if (folder / MANIFEST_NAME).is_file():
        try:
            return Manifest.read(folder).id == NOISE_MODEL
        except ModelCorrupt:
            pass
    try:
        return _has(folder, {CONFIG_NAME: files[CONFIG_NAME]})
    except OSError:
        return False


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
