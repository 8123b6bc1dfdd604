"""The grains: what each code of each codebook sounds like, for a frame of its own and the next one's fade.

Codebook 0 is drums, 1 bass, 2 chords, 3 lead. A code says who plays what, and how far the note has come;
code 0 is silence. A grain rises while its forerunner falls, by sin² and cos² within three milliseconds: where
both are the same note, together they are the note itself, and where they are not, they are a crossfade.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recipes.bundled_model import tuning, voices
from recipes.bundled_model.tuning import FRAME_SAMPLES, Loop
from recipes.bundled_model.voices import CYMBALS, DRUMS, FRAME_SECONDS, Hit, Voice

STEMS: Final = ("drums", "bass", "chords", "lead")
K: Final = len(STEMS)
CODES: Final = 1024
"""N: the size of each codebook, as tensors have it; see `Dictionary.sizes` for those in use."""
GAIN: Final = 0.45
"""Of everything, so that all four stems together stay below one."""
FADE_SAMPLES: Final = 100
BASS_PITCHES: Final = range(-24, -4)
LEAD_PITCHES: Final = range(7, 29)
CHORD_LOW: Final = -5
"""Chords lie in the octave above."""
TRIADS: Final = tuple(
    (root, quality)
    for quality, roots in (("major", (0, 1, 2, 3, 5, 7, 8, 10)), ("minor", (0, 2, 4, 5, 7, 9, 10, 11)))
    for root in roots
)

Triad = tuple[int, str]


class Stroke(NamedTuple):
    """Which frame of which drum and of which cymbal sounds; None where neither does."""

    drum: tuple[str, int] | None
    cymbal: tuple[str, int] | None


class Moment(NamedTuple):
    """A frame of a note: which level it has reached (-1 in the attack), and which frame of that."""

    instrument: str
    pitch: int | Triad
    level: int
    frame: int


Key = Stroke | Moment


@dataclass(frozen=True, slots=True, eq=False)
class Dictionary:
    """Codes by what they mean, and the sound of each."""

    codes: tuple[Mapping[Key, int], ...]
    """For each codebook; silence, which is 0, is not among them."""
    grains: NDArray[np.float64]
    """[K, N, 2 F], F samples of a frame; zero where a code is not in use."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Codes in use of each codebook, silence among them."""
        return tuple(len(codes) + 1 for codes in self.codes)

    def render(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Codes [K, T] as sound [T F]: the sum of their grains. The oracle of the codec's decoder."""
        frames = codes.shape[1]
        sound = np.zeros((frames + 1, FRAME_SAMPLES))
        for stem in range(K):
            grains = self.grains[stem, codes[stem]]  # [T, 2 F]
            sound[:-1] += grains[:, :FRAME_SAMPLES]
            sound[1:] += grains[:, FRAME_SAMPLES:]
        return sound[:-1].reshape(-1)


def loop_of(pitch: int | Triad) -> Loop:
    """How a note or a triad is tuned."""
    return tuning.note(pitch) if isinstance(pitch, int) else tuning.chord(*pitch, low=CHORD_LOW)


@cache
def moments(stem: str, instrument: str, pitch: int | Triad) -> tuple[Moment, ...]:
    """All frames that a note's codes distinguish, in the order of the codebook."""
    voice, loop = voices.VOICES[stem][instrument], loop_of(pitch)
    attack = [Moment(instrument, pitch, -1, frame) for frame in range(voice.attack_frames)]
    levels = [
        Moment(instrument, pitch, level, frame)
        for level in range(len(voice.levels))
        for frame in range(loop.frames)
    ]
    return (*attack, *levels)


def moment_at(stem: str, instrument: str, pitch: int | Triad, age: int) -> Moment | None:
    """Which frame a note has after `age` frames; None where it has died away."""
    voice = voices.VOICES[stem][instrument]
    if voice.last_frame is not None and age >= voice.last_frame:
        return None
    if age < voice.attack_frames:
        return Moment(instrument, pitch, -1, age)
    level = max(i for i, each in enumerate(voice.levels) if age >= each.from_frame)
    return Moment(instrument, pitch, level, age % loop_of(pitch).frames)


@cache
def build() -> Dictionary:
    """The dictionary; the same on every machine up to the last bits of sines."""
    codes: list[dict[Key, int]] = []
    grains = np.zeros((K, CODES, 2 * FRAME_SAMPLES))
    for stem, name in enumerate(STEMS):
        book: dict[Key, int] = {}
        for key, grain in _strokes() if name == "drums" else _notes(name):
            book[key] = len(book) + 1
            grains[stem, book[key]] = grain
        codes.append(book)
    return Dictionary(codes=tuple(codes), grains=grains)


def _notes(stem: str) -> Iterator[tuple[Key, NDArray[np.float64]]]:
    pitches: dict[str, Sequence[int | Triad]] = {
        "bass": BASS_PITCHES,
        "chords": TRIADS,
        "lead": LEAD_PITCHES,
    }
    for instrument, voice in voices.VOICES[stem].items():
        for pitch in pitches[stem]:
            for moment in moments(stem, instrument, pitch):
                yield moment, _note_grain(voice, loop_of(pitch), moment)


def _note_grain(voice: Voice, loop: Loop, moment: Moment) -> NDArray[np.float64]:
    t = np.arange(2 * FRAME_SAMPLES) / FRAME_SAMPLES * FRAME_SECONDS
    if moment.level < 0:
        seconds = t + moment.frame * FRAME_SECONDS
        pcm = voices.tones(voice, loop, seconds=seconds, like_seconds=seconds)
        return _faded(pcm, is_first=moment.frame == 0)
    # Many loops on, where the attack is over and the phase is the same.
    rounds = 1 + voice.attack_frames * 8 // loop.frames
    seconds = t + (moment.frame + rounds * loop.frames) * FRAME_SECONDS
    like = 0.0 if not voice.decay else voice.levels[moment.level].like_frame * FRAME_SECONDS
    return _faded(voices.tones(voice, loop, seconds=seconds, like_seconds=like), is_first=False)


def _strokes() -> Iterator[tuple[Key, NDArray[np.float64]]]:
    drums = [None, *((name, frame) for name, hit in DRUMS.items() for frame in range(hit.frames))]
    cymbals = [None, *((name, frame) for name, hit in CYMBALS.items() for frame in range(hit.frames))]
    for drum in drums:
        for cymbal in cymbals:
            if drum or cymbal:
                yield Stroke(drum, cymbal), _hit_grain(DRUMS, drum) + _hit_grain(CYMBALS, cymbal)


def _hit_grain(hits: Mapping[str, Hit], at: tuple[str, int] | None) -> NDArray[np.float64]:
    if at is None:
        return np.zeros(2 * FRAME_SAMPLES)
    name, frame = at
    pcm = hits[name].pcm[frame * FRAME_SAMPLES : (frame + 2) * FRAME_SAMPLES]
    return _faded(np.pad(pcm, (0, 2 * FRAME_SAMPLES - len(pcm))), is_first=frame == 0)


def _faded(pcm: NDArray[np.float64], *, is_first: bool) -> NDArray[np.float64]:
    rise = np.ones(FRAME_SAMPLES)
    rise[:FADE_SAMPLES] = np.sin(np.pi / 2 * (np.arange(FADE_SAMPLES) + 0.5) / FADE_SAMPLES) ** 2
    head = pcm[:FRAME_SAMPLES] if is_first else pcm[:FRAME_SAMPLES] * rise
    return GAIN * np.concatenate([head, pcm[FRAME_SAMPLES:] * (1 - rise)])
