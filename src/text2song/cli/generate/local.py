"""A studio in this process: the services that the API calls, and a worker, over the home folder."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from text2song.audio import delivery
from text2song.audio import queries as audio
from text2song.audio.schemas import AudioSampleOut
from text2song.cli.answer import Answer
from text2song.cli.opening import opened_studio, own_queue, settings_for
from text2song.cli.worker.notices import served_model
from text2song.generation import queries, service
from text2song.generation.schemas import GenerateIn, JobOut
from text2song.jobs.columns import FINAL
from text2song.settings import Settings
from text2song.sound.files import AudioFormat
from text2song.studio import Studio

TICK_SECONDS: Final = 0.1
"""How often a waiting read looks at the row."""


class LocalStudio:
    """Implements `access.StudioAccess` with the studio's own services."""

    def __init__(self, studio: Studio, *, model: str) -> None:
        self._studio = studio
        self._model = model

    def submit(self, body: GenerateIn) -> JobOut:
        """Queue a job for the model that this process serves."""
        named = body if body.from_sample else body.model_copy(update={"model": self._model})
        with self._studio.work() as work:
            job = service.submit(work, named)
            return queries.describe(work, [job])[0]

    def read(self, job_id: uuid.UUID, *, since: int, wait_seconds: float) -> JobOut:
        """The row; whichever process works on it writes there."""
        until = time.monotonic() + wait_seconds
        while True:
            with self._studio.read() as reader:
                job = queries.describe(reader, [queries.get(reader, job_id)])[0]
            if job.sequence > since or job.status in FINAL or time.monotonic() >= until:
                return job
            time.sleep(TICK_SECONDS)

    def cancel(self, job_id: uuid.UUID) -> JobOut:
        """Cancel the job; finished takes stay."""
        with self._studio.work() as work:
            job, _ = service.cancel(work, job_id)
            return queries.describe(work, [job])[0]

    def sample(self, audio_id: uuid.UUID) -> AudioSampleOut:
        """The record of a take."""
        with self._studio.read() as reader:
            return audio.describe(audio.get(reader, audio_id))

    def sound(self, audio_id: uuid.UUID, *, into: AudioFormat) -> bytes:
        """A take as the bytes of a file, the same that the API's download gives."""
        with self._studio.read() as reader:
            sample = audio.get(reader, audio_id)
        return delivery.transcode(self._studio.blobs, sample, into=into)

    def place(self, audio_id: uuid.UUID) -> str:
        """The stored file, or its key where the storage has no files."""
        with self._studio.read() as reader:
            sample = audio.get(reader, audio_id)
        way = self._studio.blobs.link(sample.storage_path)
        return str(way) if isinstance(way, Path) else sample.storage_path


@contextmanager
def local_studio(body: GenerateIn, *, model: str | None, answer: Answer) -> Iterator[LocalStudio]:
    """Open the studio and serve the model that `body` needs, as long as the `with` block lasts.

    Raises:
        NotFound: the sample to make again does not exist.
        SetupError, ModelError: the studio cannot be opened, or its model not be loaded.
    """
    settings = settings_for(answer, is_service=False)
    if model is not None:
        settings = settings.model_copy(update={"model": model})
    queue = own_queue(settings)
    with opened_studio(settings, answer=answer, queue=queue) as opened:
        studio = replace(opened, settings=_as_it_was_made(body, opened))
        with answer.console.status("Loading the model"):
            from text2song.worker.main import Worker  # noqa: PLC0415  # torch: seconds, so say what we wait for

            worker = Worker(studio, queue)
            worker.start()
        try:
            yield LocalStudio(studio, model=served_model(studio.settings).id)
        finally:
            worker.stop()


def _as_it_was_made(body: GenerateIn, studio: Studio) -> Settings:
    """The settings that serve what made the sample in question, in its dtype; unchanged for a new take.

    Where this device does not compute in that dtype, the take is made in another, and the verdict says so.
    """
    settings = studio.settings
    if body.from_sample is None:
        return settings
    with studio.read() as reader:
        sample = audio.describe(audio.get(reader, body.from_sample))
    if _computes_in(sample.provenance.dtype, settings):
        settings = settings.model_copy(update={"dtype": sample.provenance.dtype})
    if served_model(settings).id == sample.model:
        return settings
    return settings.model_copy(update={"model": sample.model})


def _computes_in(dtype: str, settings: Settings) -> bool:
    from text2song.model.device import usable_device  # noqa: PLC0415  # torch: not before somebody needs it
    from text2song.model.precision import dtypes_on  # noqa: PLC0415  # as above

    return dtype in dtypes_on(usable_device(settings.device))
