"""A tiny untrained MusicGen: the studio's stand-in until a trained model is there, and the tests' model.

It has MusicGen's architecture and file format, and transformers loads it unchanged; its weights are
noise, and so is its sound. The same seed gives the same bytes, and so the same fingerprint, on every
machine, whatever its processor and whatever the version of torch, as long as safetensors lays out its
files as it does (see `noise_weights.py`).
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Final

from safetensors.torch import save_file

from text2song.errors import ModelMissing
from text2song.model.configuration import read_configuration
from text2song.model.manifest import Manifest
from text2song.model.noise_files import small_files
from text2song.model.noise_weights import noise_weights
from text2song.model.weights import SINGLE_NAME, fingerprint
from text2song.names import NOISE_MODEL

_RECIPE: Final = 1
"""Rises when the same seed would give other bytes."""


def build_noise_model(folder: Path, *, seed: int = 0, audio_channels: int = 1) -> Path:
    """Make the model in `folder`, unless it is there already; answers `folder`.

    Built beside the folder and renamed, so that two processes may do it at once and a killed one
    leaves nothing half made.
    """
    revision = f"recipe-{_RECIPE}-seed-{seed}-channels-{audio_channels}"
    if _is_built(folder, revision):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        draft.chmod(0o755)  # mkdtemp's folders are private
        _write(draft, seed=seed, audio_channels=audio_channels, revision=revision)
        _put(draft, folder, revision)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def _is_built(folder: Path, revision: str) -> bool:
    return folder.is_dir() and Manifest.read(folder).revision == revision


def _put(draft: Path, folder: Path, revision: str) -> None:
    """Rename the draft to its place, where another process may just have put the same."""
    try:
        draft.rename(folder)
    except OSError:
        if _is_built(folder, revision):
            return
        if Manifest.read(folder).id != NOISE_MODEL:
            raise ModelMissing(
                f"{folder} is in the way: it is not the noise model. Move it, or choose another folder."
            ) from None
        draft_of_old = draft.with_name(f"{draft.name}-old")
        folder.rename(draft_of_old)
        draft.rename(folder)
        shutil.rmtree(draft_of_old)


def _write(folder: Path, *, seed: int, audio_channels: int, revision: str) -> None:
    for name, content in small_files(audio_channels=audio_channels).items():
        (folder / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    weights = noise_weights(read_configuration(folder), seed=seed)
    save_file(weights, folder / SINGLE_NAME, metadata={"format": "pt"})
    Manifest(
        id=NOISE_MODEL,
        revision=revision,
        license="Apache-2.0",
        is_trained=False,
        fingerprint=fingerprint(folder),
        size_bytes=(folder / SINGLE_NAME).stat().st_size,
    ).write(folder)
