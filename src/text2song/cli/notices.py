"""What every command must say of the model that is served."""

from text2song.model.manifest import Manifest
from text2song.models.queries import NOISE_NOTICE
from text2song.settings import Settings


def served_model(settings: Settings) -> Manifest:
    """Who is served under these settings; quick once torch is imported.

    Raises:
        ModelMissing, ModelCorrupt: when it is not there.
    """
    from text2song.worker.handlers import model_folder  # noqa: PLC0415  # torch: not before somebody needs it

    return Manifest.read(model_folder(settings))


def notice_for(manifest: Manifest) -> str | None:
    """What a listener must know, if anything."""
    return None if manifest.is_trained else NOISE_NOTICE
