"""Takes without a model: short real sound, stored and kept as a worker does it."""

import numpy as np

from tests.rows import MODEL, add_prompt
from text2song.audio import service
from text2song.audio.recording import Recording, record
from text2song.audio.tables import AudioSample
from text2song.blobs.store import BlobStore
from text2song.music.spec import GenerationSpec
from text2song.sound.waveform import Waveform
from text2song.studio import Studio, Work

RATE = 8000


def record_tone(blobs: BlobStore, *, seed: int = 0) -> Recording:
    """Half a second of noise of its own for each seed, with its codes."""
    chance = np.random.default_rng(seed)
    pcm = chance.uniform(-0.5, 0.5, (1, RATE // 2)).astype(np.float32)
    codes = chance.integers(0, 2048, (4, 25)).astype(np.int16)
    return record(blobs, Waveform(pcm, RATE), codes, codebook_size=2048, metadata={"seed": str(seed)})


def keep(work: Work, recording: Recording) -> AudioSample:
    """The row of a recording, with a prompt of its own."""
    spec = GenerationSpec("a slow walk home", seed=7, duration_seconds=0.5)
    provenance = {"is_trained": False}
    origin = service.Origin(add_prompt(work.session), None, None, MODEL, spec, provenance)
    return service.keep(work, recording, origin)


def make_sample(studio: Studio, *, seed: int = 0) -> AudioSample:
    """A kept sample."""
    recording = record_tone(studio.blobs, seed=seed)
    with studio.work() as work:
        return keep(work, recording)


def delete(studio: Studio, sample: AudioSample) -> None:
    with studio.work() as work:
        service.delete(work, sample.id)


def stored_keys(studio: Studio) -> set[str]:
    """The keys of everything that is stored."""
    return {stat.key for folder in ("audio", "peaks", "codes") for stat in studio.blobs.list(folder)}
