"""What `generate` needs of a studio, be it in this process or behind a URL."""

import uuid
from typing import Protocol

from text2song.audio.schemas import AudioSampleOut
from text2song.generation.schemas import GenerateIn, JobOut
from text2song.sound.files import AudioFormat


class StudioAccess(Protocol):
    """A studio that makes takes. Every method may raise `StudioError`."""

    def submit(self, body: GenerateIn) -> JobOut:
        """Queue a job."""
        ...

    def read(self, job_id: uuid.UUID, *, since: int, wait_seconds: float) -> JobOut:
        """The job once its sequence is above `since`, or it is final, or time is up."""
        ...

    def cancel(self, job_id: uuid.UUID) -> JobOut:
        """Cancel the job; finished takes stay."""
        ...

    def sample(self, audio_id: uuid.UUID) -> AudioSampleOut:
        """The record of a take."""
        ...

    def sound(self, audio_id: uuid.UUID, *, into: AudioFormat) -> bytes:
        """A take as the bytes of a file, with tags inside."""
        ...

    def place(self, audio_id: uuid.UUID) -> str:
        """Where the studio keeps it: a path or a URL."""
        ...
