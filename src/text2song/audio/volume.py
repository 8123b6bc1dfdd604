"""How much is kept."""

from dataclasses import dataclass

from sqlalchemy import func, select

from text2song.audio.tables import AudioSample
from text2song.studio import Reader


@dataclass(frozen=True, slots=True)
class Volume:
    """All samples together."""

    samples: int
    audio_seconds: float
    size_bytes: int
    """Of the sound files; outlines and codes are a small part beside them."""


def measure(reader: Reader) -> Volume:
    """Reads every sample: not for each request."""
    count, seconds, size_bytes = reader.session.execute(
        select(func.count(), func.sum(AudioSample.duration_seconds), func.sum(AudioSample.size_bytes))
    ).one()
    return Volume(count, float(seconds or 0.0), int(size_bytes or 0))
