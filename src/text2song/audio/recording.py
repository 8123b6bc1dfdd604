"""From a take to stored, measured bytes. Bytes come first; the row is written by `service.keep`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from text2song.artifacts.codes import pack
from text2song.artifacts.digest import canonical_json, sha256_hex
from text2song.blobs.store import BlobStore, StoredBlob
from text2song.sound.files import FLAC, encode
from text2song.sound.loudness import Loudness, measure
from text2song.sound.peaks import peaks
from text2song.sound.waveform import Waveform

PEAK_BUCKETS: Final = 1000
"""Columns of the stored outline: more than a waveform on a wide screen has."""
AUDIO_FOLDER: Final = "audio"
PEAKS_FOLDER: Final = "peaks"
CODES_FOLDER: Final = "codes"
FOLDERS: Final = (AUDIO_FOLDER, PEAKS_FOLDER, CODES_FOLDER)
"""All that the studio stores bytes in; a test finds one that is missing here."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Stored bytes and what was measured of them."""

    audio: StoredBlob
    peaks: StoredBlob
    codes: StoredBlob
    codes_sha256: str
    loudness: Loudness
    duration_seconds: float
    sample_rate: int
    channels: int


def record(
    blobs: BlobStore,
    waveform: Waveform,
    codes: NDArray[np.int16],
    *,
    codebook_size: int,
    metadata: Mapping[str, str],
) -> Recording:
    """Store FLAC, outline and codes `[K, T]`; `metadata` goes into the codes' file.

    Raises:
        StorageFull, StorageFailed: when the bytes cannot be stored; nothing half-written stays.
    """
    outline = canonical_json(peaks(waveform, buckets=PEAK_BUCKETS).as_json())
    packed = pack(codes, codebook_size=codebook_size, metadata=metadata)
    return Recording(
        audio=blobs.put(encode(waveform), folder=AUDIO_FOLDER, suffix=FLAC.extension),
        peaks=blobs.put(outline, folder=PEAKS_FOLDER, suffix=".json"),
        codes=blobs.put(packed, folder=CODES_FOLDER, suffix=".safetensors"),
        codes_sha256=digest_of_codes(codes),
        loudness=measure(waveform),
        duration_seconds=waveform.duration_seconds,
        sample_rate=waveform.sample_rate,
        channels=waveform.channels,
    )


def digest_of_codes(codes: NDArray[np.int16]) -> str:
    """sha256 over the codes `[K, T]` as little-endian int16, preceded by their shape."""
    shape = ",".join(str(size) for size in codes.shape)
    return sha256_hex(shape.encode() + b":" + np.ascontiguousarray(codes, dtype="<i2").tobytes())
