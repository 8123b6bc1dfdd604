"""A song's notes as codes: which grain each stem plays in each frame."""

from collections.abc import Iterable
from functools import cache
from math import ceil
from random import Random
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recipes.bundled_model import dictionary
from recipes.bundled_model.brief import Brief
from recipes.bundled_model.composer import STEPS, Note, compose, seconds_of_step
from recipes.bundled_model.dictionary import STEMS, Stroke, Triad
from recipes.bundled_model.tuning import FRAME_RATE
from recipes.bundled_model.voices import CYMBALS, DRUMS, Hit

Codes = NDArray[np.int64]
_LONGEST_NOTE_FRAMES: Final = 4 * FRAME_RATE + 1
"""A bar at sixty beats a minute."""


def perform(brief: Brief, rng: Random, *, frames: int, skipped: float = 0.0) -> Codes:
    """A song of that brief as codes [K, T], from `skipped` bars after its beginning on."""
    bar_frames = FRAME_RATE * STEPS * seconds_of_step(brief)
    first = round(skipped * bar_frames)
    bars = range(max(0, int(skipped) - 1), ceil((first + frames) / bar_frames) + 1)
    return score(compose(brief, rng, bars=bars), brief, frames=frames, first=first)


def score(notes: Iterable[Note], brief: Brief, *, frames: int, first: int = 0) -> Codes:
    """Notes as codes [K, T], from frame `first` on; a note that starts in a stem ends the one before."""
    codes = np.zeros((len(STEMS), frames), dtype=np.int64)
    step_frames = seconds_of_step(brief) * FRAME_RATE
    drums, cymbals = (np.zeros(frames, dtype=np.int64) for _ in range(2))
    for note in sorted(notes, key=lambda each: each.start):
        start = round(note.start * step_frames)
        if note.stem == "drums":
            hits, line = (DRUMS, drums) if note.instrument in DRUMS else (CYMBALS, cymbals)
            _write(line, _frames_of(hits, note.instrument), start=start - first)
        elif note.pitch is not None:
            end = max(start + 1, round((note.start + note.length) * step_frames))
            played = _codes_of(note.stem, note.instrument, note.pitch)[: end - start]
            _write(codes[STEMS.index(note.stem)], played, start=start - first)
    codes[0] = _strokes()[drums, cymbals]
    return codes


def _write(line: Codes, played: Codes, *, start: int) -> None:
    """Put codes into a stem, and silence behind them; what lies before its first frame is cut off."""
    if start < 0:
        played, start = played[-start:], 0
    line[start:] = 0
    part = line[start : start + len(played)]
    part[:] = played[: len(part)]


@cache
def _codes_of(stem: str, instrument: str, pitch: int | Triad) -> Codes:
    """The codes of a note by its age in frames, as long as it sounds or as any note is held."""
    book, codes = dictionary.build().codes[STEMS.index(stem)], []
    for age in range(_LONGEST_NOTE_FRAMES):
        moment = dictionary.moment_at(stem, instrument, pitch, age)
        if moment is None:
            break
        codes.append(book[moment])
    return np.array(codes)


def _ordered(hits: dict[str, Hit]) -> list[tuple[str, int]]:
    return [(name, frame) for name, hit in hits.items() for frame in range(hit.frames)]


def _frames_of(hits: dict[str, Hit], name: str) -> Codes:
    """The frames of a drum or cymbal as `_strokes` counts them; 0 is none."""
    first = 1 + _ordered(hits).index((name, 0))
    return np.arange(first, first + hits[name].frames)


@cache
def _strokes() -> Codes:
    """Codes by the frame of a drum and the frame of a cymbal."""
    drums, cymbals = ([None, *_ordered(hits)] for hits in (DRUMS, CYMBALS))
    book = dictionary.build().codes[0]
    return np.array([[book.get(Stroke(drum, cymbal), 0) for cymbal in cymbals] for drum in drums])
