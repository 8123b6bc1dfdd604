import struct
from collections.abc import Iterator
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from text2song.errors import InvalidInput
from text2song.sound.files import (
    FLAC,
    FORMATS,
    MP3,
    OGG,
    WAV,
    AudioFormat,
    decode,
    encode,
    format_named,
    read_tags,
)
from text2song.sound.tags import Tags
from text2song.sound.waveform import Waveform

RATE: Final = 32_000
HARD_TEXTS: Final = [
    "plain",
    "two\nlines",
    "音楽 🎵 é — «ok»",
    'quotes " and \\ and = and ;',
    "\u202eright to left",
    "odd",
    "long " * 300,
]


def tone(*, channels: int, seconds: float = 1.0, rate: int = RATE) -> Waveform:
    time = np.arange(int(seconds * rate)) / rate
    rows = [0.4 * np.sin(2 * np.pi * 440 * (c + 1) * time) for c in range(channels)]
    return Waveform(np.array(rows, dtype=np.float32), rate)


def noise(*, channels: int, samples: int = 20_001) -> Waveform:
    drawn = np.random.default_rng(5).standard_normal((channels, samples)) * 0.2
    return Waveform(drawn.astype(np.float32), RATE)


@pytest.mark.parametrize("audio_format", [FLAC, WAV], ids=lambda f: f.name)
@pytest.mark.parametrize("waveform", [tone(channels=1), tone(channels=2), noise(channels=2)])
def test_lossless_formats_keep_every_24_bit_sample(audio_format: AudioFormat, waveform: Waveform) -> None:
    heard = decode(encode(waveform, into=audio_format))

    expected = np.clip(np.rint(waveform.pcm.astype(np.float64) * 2**23), -(2**23), 2**23 - 1) / 2**23
    assert heard.sample_rate == waveform.sample_rate
    assert np.array_equal(heard.pcm, expected.astype(np.float32))


def test_full_scale_is_cut_and_never_wraps() -> None:
    loud = Waveform(np.array([[1.0, -1.0, 2.5, -2.5, 1e9]], dtype=np.float32), RATE)
    top = np.float32((2**23 - 1) / 2**23)

    for audio_format in (FLAC, WAV):
        assert decode(encode(loud, into=audio_format)).pcm.tolist() == [[top, -1.0, top, -1.0, top]]


def test_a_lossless_file_of_a_decoded_file_is_the_same_file() -> None:
    first = encode(noise(channels=2))

    assert encode(decode(first)) == first


def spectrum_db(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean level in 20 equal bands below 10 kHz."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    below = power[: int(len(power) * 10_000 / (RATE / 2))]
    levels: NDArray[np.float64] = 10 * np.log10([band.mean() for band in np.array_split(below, 20)])
    return levels


@pytest.mark.parametrize("audio_format", [MP3, OGG], ids=lambda f: f.name)
@pytest.mark.parametrize("channels", [1, 2])
def test_lossy_formats_keep_duration_and_spectrum(audio_format: AudioFormat, channels: int) -> None:
    waveform = noise(channels=channels, samples=2 * RATE)

    heard = decode(encode(waveform, into=audio_format))

    assert heard.pcm.shape == waveform.pcm.shape
    for before, after in zip(waveform.pcm, heard.pcm, strict=True):
        assert np.abs(spectrum_db(before) - spectrum_db(after)).max() < 1.0  # dB


@pytest.mark.parametrize("audio_format", [MP3, OGG], ids=lambda f: f.name)
def test_lossy_formats_stay_close_to_a_tone_and_in_time(audio_format: AudioFormat) -> None:
    waveform = tone(channels=2)

    error = decode(encode(waveform, into=audio_format)).pcm - waveform.pcm

    for before, wrong in zip(waveform.pcm, error, strict=True):
        assert 10 * np.log10(np.mean(before**2) / np.mean(wrong**2)) > 25.0  # dB


@pytest.mark.parametrize("samples", [1, 7, 1151, 65_536, 65_537])
@pytest.mark.parametrize("audio_format", FORMATS.values(), ids=lambda f: f.name)
def test_any_length_comes_back(audio_format: AudioFormat, samples: int) -> None:
    waveform = noise(channels=1, samples=samples)

    assert decode(encode(waveform, into=audio_format)).pcm.shape == waveform.pcm.shape


@pytest.mark.parametrize("audio_format", [FLAC, WAV, MP3], ids=lambda f: f.name)
def test_the_same_waveform_and_tags_give_the_same_bytes(audio_format: AudioFormat) -> None:
    tags = Tags(title="t", comment="c", date="2026-01-02")

    assert encode(tone(channels=2), into=audio_format, tags=tags) == encode(
        tone(channels=2), into=audio_format, tags=tags
    )


@pytest.mark.parametrize("text", HARD_TEXTS)
@pytest.mark.parametrize("audio_format", FORMATS.values(), ids=lambda f: f.name)
def test_tags_come_back_as_written(audio_format: AudioFormat, text: str) -> None:
    tags = Tags(title=text, artist=text, comment=text, date="2026")

    data = encode(tone(channels=1, seconds=0.1), into=audio_format, tags=tags)

    assert {**read_tags(data), **tags.written()} == read_tags(data)


@pytest.mark.parametrize("audio_format", FORMATS.values(), ids=lambda f: f.name)
@given(text=st.text(alphabet=st.characters(codec=None), max_size=60))
@settings(max_examples=40, deadline=None)
def test_no_text_can_break_a_file(audio_format: AudioFormat, text: str) -> None:
    waveform = tone(channels=1, seconds=0.02)
    tags = Tags(title=text, comment=text)

    data = encode(waveform, into=audio_format, tags=tags)

    assert decode(data).pcm.shape == waveform.pcm.shape
    assert read_tags(data).get("comment", "") == tags.comment


def test_an_mp3_holds_one_tag_and_no_second_opinion() -> None:
    data = encode(tone(channels=1), into=MP3, tags=Tags(title="é", comment="é"))

    assert data.startswith(b"ID3")
    assert data.count(b"ID3") == 1
    assert data[-128:-125] != b"TAG"  # ID3v1, which LAME would write


def test_a_file_without_tags_holds_none() -> None:
    for audio_format in FORMATS.values():
        assert read_tags(encode(tone(channels=1, seconds=0.1), into=audio_format)) == {}


def riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at < len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        yield name, data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def test_wav_holds_texts_longer_than_libsndfile_reads() -> None:
    comment = "🎵" * 2000

    data = encode(tone(channels=1, seconds=0.1), into=WAV, tags=Tags(comment=comment))

    assert struct.unpack_from("<I", data, 4)[0] == len(data) - 8
    assert comment.encode() in dict(riff_chunks(data))[b"LIST"]


@pytest.mark.parametrize("junk", [b"", b"hello", bytes(5000), b"RIFF", b"fLaC" + b"\x81" * 300, b"OggS" * 99])
def test_what_is_no_sound_file_is_refused(junk: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidInput, match="not a sound file that can be read"):
        decode(junk)
    assert capfd.readouterr() == ("", "")


def test_damage_to_flac_is_found_wherever_it_is() -> None:
    data = encode(noise(channels=1, samples=6000))
    for at in range(150, len(data), 701):  # behind the header, whose vendor's name has no checksum
        flipped = bytearray(data)
        flipped[at] ^= 0x10
        with pytest.raises(InvalidInput):
            decode(bytes(flipped))
        with pytest.raises(InvalidInput):
            decode(data[:at])


def test_a_sound_file_is_written_and_read_in_silence(capfd: pytest.CaptureFixture[str]) -> None:
    for audio_format in FORMATS.values():
        data = encode(noise(channels=2), into=audio_format, tags=Tags(title="音", comment="é" * 5000))
        decode(data)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("pcm", [np.zeros((1, 0)), np.array([[np.nan]]), np.array([[np.inf]])])
def test_what_cannot_be_heard_is_not_written(pcm: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match="finite"):
        encode(Waveform(pcm.astype(np.float32), RATE))


def test_mp3_refuses_a_rate_that_it_cannot_hold() -> None:
    with pytest.raises(InvalidInput, match="MP3 cannot hold 37800 Hz"):
        encode(tone(channels=1, rate=37_800), into=MP3)


def test_formats_are_found_by_name() -> None:
    assert [format_named(name) for name in ("flac", "wav", "mp3", "ogg")] == [FLAC, WAV, MP3, OGG]
    with pytest.raises(InvalidInput, match="flac, wav, mp3, ogg"):
        format_named("exe")
