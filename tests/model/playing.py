"""Takes, batches and altered models for the tests of the model layer."""

from collections.abc import Callable, Sequence
from pathlib import Path
from shutil import copytree

from safetensors.torch import load_file, save_file
from torch import Tensor

from text2song.errors import StudioError
from text2song.model.protocol import GeneratedTake, MusicModel, play
from text2song.music.spec import GenerationSpec

SPEC = GenerationSpec(sentence="a slow walk home, lo-fi", seed=7, duration_seconds=0.6)


def results(model: MusicModel, specs: Sequence[GenerationSpec]) -> dict[int, GeneratedTake | StudioError]:
    return {result.row: result.outcome for result in play(model, specs)}


def takes(model: MusicModel, specs: Sequence[GenerationSpec]) -> list[GeneratedTake]:
    outcomes = results(model, specs)
    made = [outcomes[row] for row in range(len(specs))]
    assert all(isinstance(take, GeneratedTake) for take in made), made
    return [take for take in made if isinstance(take, GeneratedTake)]


def with_weights(
    folder: Path, to: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor] | None]
) -> Path:
    """A copy of the model with other tensors, and no manifest to contradict them."""
    copytree(folder, to)
    (to / "text2song.json").unlink()
    tensors = load_file(to / "model.safetensors")
    save_file(change(tensors) or tensors, to / "model.safetensors", metadata={"format": "pt"})
    return to
