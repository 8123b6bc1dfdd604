"""Waveforms to the bytes of a sound file and back.

FLAC is what the studio stores; the other formats are made when someone asks for them.

Legend: C channels, N samples in each channel.
"""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from text2song.errors import InvalidInput
from text2song.sound.tags import Tags, id3
from text2song.sound.waveform import Waveform


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """One kind of sound file that the studio can write."""

    name: str
    """How requests and `text2song` name it."""
    extension: str
    """With its dot."""
    media_type: str
    container: str
    """libsndfile's names for what is inside."""
    encoding: str
    compression: float | None
    """libsndfile's scale from 0.0, the largest file, to 1.0, the smallest."""
    is_lossless: bool


FLAC: Final = AudioFormat("flac", ".flac", "audio/flac", "FLAC", "PCM_24", 1.0, is_lossless=True)
"""The tightest level: 3 % smaller than the usual one and still a thousand times faster than real time."""
WAV: Final = AudioFormat("wav", ".wav", "audio/wav", "WAV", "PCM_24", None, is_lossless=True)
"""24-bit PCM: every editor opens it, it equals the stored FLAC bit for bit, and unlike libsndfile's
float WAV it holds no time stamp."""
MP3: Final = AudioFormat("mp3", ".mp3", "audio/mpeg", "MP3", "MPEG_LAYER_III", 0.0, is_lossless=False)
"""LAME's best variable bit rate."""
OGG: Final = AudioFormat("ogg", ".ogg", "audio/ogg", "OGG", "VORBIS", 0.3, is_lossless=False)
"""Vorbis at quality 7. Not Opus: that runs at 48 kHz alone, and MusicGen's 32 kHz would be resampled."""

FORMATS: Final[Mapping[str, AudioFormat]] = MappingProxyType({f.name: f for f in (FLAC, WAV, MP3, OGG)})

_MP3_RATES_HZ: Final = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_BLOCK_FRAMES: Final = 65536
"""Frames handed to libsndfile at once: its Vorbis encoder puts what it is given on the C stack."""
_FULL_SCALE_24_BIT: Final = 2**23


def format_named(name: str) -> AudioFormat:
    """The format that `name` means.

    Raises:
        InvalidInput: where there is none of that name.
    """
    if name not in FORMATS:
        raise InvalidInput(f"There is no format {name!r}: ask for {', '.join(FORMATS)}.", field="format")
    return FORMATS[name]


def encode(waveform: Waveform, *, into: AudioFormat = FLAC, tags: Tags | None = None) -> bytes:
    """`waveform` as the bytes of a file, with `tags` inside.

    FLAC, WAV and MP3 give the same bytes on every run (of the same libsndfile); Ogg does not, for
    its streams carry a random serial number. FLAC and WAV round to the nearest 24-bit step and cut
    what lies beyond full scale.

    Raises:
        InvalidInput: MP3 does not exist at this sample rate.
        ValueError: the waveform is empty or not finite; both are programming errors here.
    """
    if waveform.pcm.size == 0 or not np.isfinite(waveform.pcm).all():
        raise ValueError("only a waveform with samples, all of them finite, can become a file")
    if into is MP3 and waveform.sample_rate not in _MP3_RATES_HZ:
        raise InvalidInput(
            f"MP3 cannot hold {waveform.sample_rate} Hz: download it as flac, wav or ogg.", field="format"
        )
    tags = tags or Tags()
    pcm = _as_24_bit(waveform.pcm) if into.is_lossless else np.ascontiguousarray(waveform.pcm.T)  # [N, C]
    buffer = io.BytesIO()
    with soundfile.SoundFile(
        buffer,
        mode="w",
        samplerate=waveform.sample_rate,
        channels=waveform.channels,
        format=into.container,
        subtype=into.encoding,
        compression_level=into.compression,
    ) as file:
        if into is not MP3:
            for name, text in tags.written().items():
                setattr(file, name, text)
        for start in range(0, len(pcm), _BLOCK_FRAMES):
            file.write(pcm[start : start + _BLOCK_FRAMES])
    return id3(tags) + buffer.getvalue() if into is MP3 else buffer.getvalue()


def decode(data: bytes) -> Waveform:
    """The waveform of a sound file's bytes, in any format that libsndfile reads.

    FLAC and Ogg carry checksums, so damage to their sound is found. WAV and MP3 carry none: what is
    left of a damaged one may be decoded (and libmpg123 then writes notes to stderr, which nobody
    can turn off from here).

    Raises:
        InvalidInput: these bytes are not a sound file, or hold less than they announce.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            blocks = list(_blocks(file))
            sample_rate, announced = int(file.samplerate), int(file.frames)
    except (soundfile.SoundFileError, ValueError) as error:
        raise InvalidInput("This is not a sound file that can be read: try flac, wav, mp3 or ogg.") from error
    pcm = np.concatenate(blocks) if blocks else np.zeros((0, 1), np.float32)  # [N, C]
    if len(pcm) != announced or not len(pcm):
        raise InvalidInput(
            f"The sound file is damaged: it announces {announced} samples and holds {len(pcm)}. "
            "Use an undamaged copy."
        )
    return Waveform(pcm=np.ascontiguousarray(pcm.T), sample_rate=sample_rate)  # [C, N]


def read_tags(data: bytes) -> dict[str, str]:
    """The texts inside a sound file, by libsndfile's names (title, artist, comment, date, software).

    libsndfile reads no WAV text beyond 2045 bytes, and none after it, though it writes them.
    """
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        return dict(file.copy_metadata())


def _blocks(file: Any) -> Iterator[NDArray[np.float32]]:  # noqa: ANN401  # soundfile ships no types
    """Blocks `[n, C]` until the file gives no more: a forged length must not reserve memory."""
    while len(block := file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)):
        yield block


def _as_24_bit(pcm: NDArray[np.float32]) -> NDArray[np.int32]:
    """PCM `[C, N]` to the nearest 24-bit step, in the upper bits of int32 `[N, C]`.

    Done here because libsndfile rounds for FLAC and truncates for WAV: the same sound must not
    have two lossless forms.
    """
    steps = np.rint(pcm.T * np.float32(_FULL_SCALE_24_BIT))
    clipped = np.clip(steps, -_FULL_SCALE_24_BIT, _FULL_SCALE_24_BIT - 1)
    return np.ascontiguousarray(clipped.astype(np.int32) << 8)
