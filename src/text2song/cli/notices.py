"""Which model a command serves."""

from text2song.model.manifest import Manifest
from text2song.settings import Settings


def served_model(settings: Settings) -> Manifest:
    """Who is served under these settings; quick once torch is imported.

    Raises:
        ModelMissing, ModelCorrupt: when it is not there.
    """
    from text2song.worker.handlers import model_folder  # noqa: PLC0415  # torch: not before somebody needs it

    return Manifest.read(model_folder(settings))
