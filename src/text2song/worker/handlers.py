"""Which kinds of jobs a worker does: the one place where features' jobs meet the model layer."""

from pathlib import Path

from text2song.generation.job.handler import GenerationHandler
from text2song.model.library import folder_for, resolve
from text2song.model.musicgen import MusicGen
from text2song.model.noise import build_noise_model
from text2song.names import NOISE_MODEL
from text2song.settings import Settings
from text2song.studio import Studio

__all__ = ["GenerationHandler", "generation_handler", "model_folder"]


def model_folder(settings: Settings) -> Path:
    """The folder of the model that the settings name; the untrained one is made where it is missing.

    Raises:
        ModelMissing: when nobody added that model yet; the message says how.
        ModelCorrupt: when it is the package's own, and not whole.
    """
    if settings.model == NOISE_MODEL:
        return build_noise_model(folder_for(settings.models_folder, NOISE_MODEL))
    return resolve(settings.models_folder, settings.model)


def generation_handler(studio: Studio) -> GenerationHandler:
    """Load the model and make the handler for it; seconds for a small model, a minute for a large one.

    Raises:
        ModelError: when the model is missing, damaged, of another kind, or does not fit into memory.
    """
    settings = studio.settings
    model = MusicGen.load(
        model_folder(settings),
        device=settings.device,
        dtype=settings.dtype,
        capacity=settings.capacity,
        memory_limit_bytes=settings.memory_limit,
    )
    return GenerationHandler(studio, model)
