"""A brief becomes a song: chords by style, a melody of phrases that come back and vary, fills.

A song goes round in sections of four bars, A A' B A', for as long as it is asked for. Time is counted
in steps, sixteen to a bar.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from recipes.bundled_model.brief import Brief
from recipes.bundled_model.dictionary import BASS_PITCHES, LEAD_PITCHES, Triad
from recipes.bundled_model.patterns import STYLES, Part, Style

STEPS: Final = 16
BARS_OF_SECTION: Final = 4
_FORM: Final = "AABA"
_SCALES: Final = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
_QUALITIES: Final = {
    "major": ("major", "minor", "minor", "major", "major", "minor", "minor"),
    "minor": ("minor", "minor", "major", "minor", "major", "major", "major"),
}
"""Of the triad on each degree; minor's fifth is major, as the harmonic scale has it."""
_THIRDS_AND_FIFTHS: Final = {"major": (4, 7), "minor": (3, 7)}
_WITHOUT_FILLS: Final = ("ambient", "classical")
_FILLS: Final = (
    (("snare", 12), ("snare", 13), ("snare", 14), ("snare", 15)),
    (("snare", 12), ("high tom", 13), ("high tom", 14), ("low tom", 15)),
    (("high tom", 10), ("high tom", 12), ("low tom", 14)),
    (("snare", 10), ("snare", 13), ("low tom", 14), ("low tom", 15)),
)


@dataclass(frozen=True, slots=True)
class Note:
    """Something that sounds: a note, a triad, or a stroke."""

    stem: str
    instrument: str
    """Or the name of a drum or cymbal."""
    pitch: int | Triad | None
    start: float
    """In steps from the beginning."""
    length: float
    """In steps; of no meaning for strokes."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """What the melody does in one bar: on which steps, and how many notes of the scale above its middle."""

    steps: tuple[int, ...]
    heights: tuple[int, ...]


def compose(brief: Brief, rng: Random, *, bars: range) -> tuple[Note, ...]:
    """Those bars of a song, in their order."""
    song = _Song(brief, rng)
    return tuple(note for bar in bars for note in song.bar(bar))


def seconds_of_step(brief: Brief) -> float:
    """How long a sixteenth lasts."""
    return 60 / brief.tempo_bpm / 4


class _Song:
    def __init__(self, brief: Brief, rng: Random) -> None:
        self._brief = brief
        self._style: Style = STYLES[brief.style]
        self._part: Part = self._style.part(brief.energy)
        progressions = self._style.progressions[brief.mode]
        first = rng.choice(progressions)
        self._progressions = {"A": first, "B": rng.choice([p for p in progressions if p != first] or [first])}
        self._phrases = {name: _phrases(self._style, self._part, rng) for name in "AB"}
        self._fills = [rng.choice(_FILLS) for _ in _FORM]
        self._has_fill = [brief.style not in _WITHOUT_FILLS and rng.random() < 0.6 for _ in _FORM]
        self._is_ornate = rng.random() < 0.5
        scale = {(brief.tonic + step) % 12 for step in _SCALES[brief.mode]}
        self._pitches = [pitch for pitch in LEAD_PITCHES if pitch % 12 in scale]
        self._middle = rng.choice((4, 5, 6))

    def bar(self, bar: int) -> Iterator[Note]:
        """The notes of one bar."""
        section = bar // BARS_OF_SECTION % len(_FORM)
        name, place = _FORM[section], bar % BARS_OF_SECTION
        triad = self._triad(self._progressions[name][place])
        if self._brief.chords is not None:
            yield from self._chords(bar, triad)
        if self._brief.bass is not None:
            yield from self._bass(bar, triad)
        yield from self._lead(bar, triad, name=name, place=place, is_varied=section in (1, 3))
        if self._brief.has_drums:
            yield from self._drums(bar, section=section, is_last=place == BARS_OF_SECTION - 1)

    def _at(self, bar: int, step: int) -> float:
        late = self._style.swing if step % 4 == 2 else self._style.swing / 2 if step % 4 in (1, 3) else 0.0
        return bar * STEPS + step + late

    def _triad(self, degree: int) -> Triad:
        root = (self._brief.tonic + _SCALES[self._brief.mode][degree]) % 12
        return root, _QUALITIES[self._brief.mode][degree]

    def _chords(self, bar: int, triad: Triad) -> Iterator[Note]:
        assert self._brief.chords is not None
        for step, length in self._part.chords:
            yield Note("chords", self._brief.chords, triad, self._at(bar, step), length)

    def _bass(self, bar: int, triad: Triad) -> Iterator[Note]:
        root = BASS_PITCHES.start + (triad[0] - BASS_PITCHES.start) % 12
        third, fifth = _THIRDS_AND_FIFTHS[triad[1]]
        intervals = {"root": 0, "third": third, "fifth": fifth, "octave": 12}
        assert self._brief.bass is not None
        for step, length, which in self._part.bass:
            pitch = root + intervals[which]
            if pitch not in BASS_PITCHES:
                pitch -= 12
            yield Note("bass", self._brief.bass, pitch, self._at(bar, step), length * 0.95)

    def _lead(self, bar: int, triad: Triad, *, name: str, place: int, is_varied: bool) -> Iterator[Note]:
        phrase = self._phrases[name][(0, 1, 0, 2)[place]]
        steps, heights = phrase.steps, phrase.heights
        is_end = place == BARS_OF_SECTION - 1
        if is_end and self._brief.style != "techno":
            steps = steps[: max(1, (len(steps) + 1) // 2)]  # the phrase breathes: its last note is held
        for index, step in enumerate(steps):
            following = steps[index + 1] if index + 1 < len(steps) else STEPS
            is_last = index == len(steps) - 1
            lift = 2 if is_varied and self._is_ornate and is_last else 0
            is_strong = step % 8 == 0 or (is_end and is_last)
            pitch = self._melody_pitch(heights[index] + lift, triad if is_strong else None)
            length = (following - step) * self._part.lead_length
            yield Note("lead", self._brief.lead, pitch, self._at(bar, step), length)

    def _melody_pitch(self, height: int, triad: Triad | None) -> int:
        """A note of the scale, so many of them above the melody's middle; of the triad if one is given."""
        index = min(len(self._pitches) - 1, max(0, self._middle + height))
        pitch = self._pitches[index]
        if triad is None:
            return pitch
        classes = {(triad[0] + interval) % 12 for interval in (0, *_THIRDS_AND_FIFTHS[triad[1]])}
        return min((p for p in LEAD_PITCHES if p % 12 in classes), key=lambda p: (abs(p - pitch), p))

    def _drums(self, bar: int, *, section: int, is_last: bool) -> Iterator[Note]:
        fill = self._fills[section] if is_last and self._has_fill[section] else ()
        for drum, steps in self._part.drums:
            for step in steps:
                if not fill or step < fill[0][1]:
                    yield Note("drums", drum, None, self._at(bar, step), 1)
        for drum, step in fill:
            yield Note("drums", drum, None, self._at(bar, step), 1)
        opens = bar and bar % BARS_OF_SECTION == 0 and self._brief.energy == "energetic"
        for cymbal, steps in self._part.cymbals:
            for step in steps:
                if not (opens and step < 4):
                    yield Note("drums", cymbal, None, self._at(bar, step), 1)
        if opens and self._part.cymbals:
            yield Note("drums", "crash", None, self._at(bar, 0), 1)


def _phrases(style: Style, part: Part, rng: Random) -> tuple[Phrase, ...]:
    """Three bars of melody: a statement, its answer, and an end."""
    statement = _phrase(style, part, rng, start=rng.choice((0, 2, 4)))
    if rng.random() < 0.5:
        answer = Phrase(statement.steps, _varied(statement.heights, rng))
    else:
        answer = _phrase(style, part, rng, start=statement.heights[-1])
    return statement, answer, _phrase(style, part, rng, start=rng.choice((2, 4)))


def _phrase(style: Style, part: Part, rng: Random, *, start: int) -> Phrase:
    steps = rng.choice(part.rhythms)
    height, heights = start, []
    for _ in steps:
        heights.append(height)
        move = (
            rng.choice((-4, -3, 2, 3, 4)) if rng.random() < style.leaps else rng.choice((-2, -1, -1, 1, 1, 2))
        )
        height = height - move if not -4 <= height + move <= 6 else height + move
    return Phrase(steps, tuple(heights))


def _varied(heights: tuple[int, ...], rng: Random) -> tuple[int, ...]:
    changed = rng.randrange(len(heights))
    return tuple(h + rng.choice((-2, 2)) if i >= changed else h for i, h in enumerate(heights))
