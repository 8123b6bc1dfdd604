"""The habits of each style, bar by bar: who plays on which sixteenth, and which chords follow each other.

A bar has 16 steps. Patterns come in pairs, calm and energetic.
"""

from dataclasses import dataclass
from typing import Final

Strokes = tuple[tuple[str, tuple[int, ...]], ...]
"""Which drum or cymbal is struck on which steps."""
EVERY: Final = tuple(range(16))
EIGHTHS: Final = tuple(range(0, 16, 2))
QUARTERS: Final = (0, 4, 8, 12)
OFFBEATS: Final = (2, 6, 10, 14)


@dataclass(frozen=True, slots=True)
class Part:
    """A style at one energy."""

    drums: Strokes
    cymbals: Strokes
    bass: tuple[tuple[int, int, str], ...]
    """Step, length in steps, and which note of the chord: root, fifth, third or octave."""
    chords: tuple[tuple[int, int], ...]
    """Step and length in steps."""
    rhythms: tuple[tuple[int, ...], ...]
    """On which steps of a bar a melody may move."""
    lead_length: float
    """How much of the time to its next note a note lasts."""


@dataclass(frozen=True, slots=True)
class Style:
    """A style."""

    calm: Part
    energetic: Part
    swing: float
    """By how many steps the second half of each beat comes late."""
    progressions: dict[str, tuple[tuple[int, ...], ...]]
    """By mode, chords of four bars as degrees of the scale, 0 the tonic."""
    leaps: float
    """How often a melody leaps."""

    def part(self, energy: str) -> Part:
        """The patterns at an energy."""
        return self.energetic if energy == "energetic" else self.calm


STYLES: Final = {
    "ambient": Style(
        calm=Part(
            drums=(("kick", (0,)),),
            cymbals=(("shaker", (8,)),),
            bass=((0, 16, "root"),),
            chords=((0, 16),),
            rhythms=((0, 8), (0,), (0, 12), (4,)),
            lead_length=1.0,
        ),
        energetic=Part(
            drums=(("kick", (0, 10)), ("rim", (8,))),
            cymbals=(("shaker", OFFBEATS),),
            bass=((0, 8, "root"), (8, 8, "octave")),
            chords=((0, 8), (8, 8)),
            rhythms=((0, 4, 8, 12), (0, 4, 6, 12), (0, 6, 8, 14)),
            lead_length=1.0,
        ),
        swing=0.0,
        progressions={
            "major": ((0, 3, 0, 3), (0, 5, 3, 0), (0, 4, 3, 3)),
            "minor": ((0, 5, 0, 5), (0, 3, 0, 6)),
        },
        leaps=0.5,
    ),
    "techno": Style(
        calm=Part(
            drums=(("kick", QUARTERS),),
            cymbals=(("hat", OFFBEATS),),
            bass=tuple((s, 2, "root") for s in OFFBEATS),
            chords=((2, 2), (10, 2)),
            rhythms=((0, 3, 6, 10), (0, 3, 6, 8, 11), (0, 6, 8, 14)),
            lead_length=0.6,
        ),
        energetic=Part(
            drums=(("kick", QUARTERS), ("clap", (4, 12))),
            cymbals=(("open hat", OFFBEATS), ("hat", tuple(s for s in EVERY if s % 4 != 2))),
            bass=tuple((s, 1, "octave" if s % 4 == 3 else "root") for s in EVERY if s % 4),
            chords=tuple((s, 2) for s in OFFBEATS),
            rhythms=((0, 1, 3, 4, 6, 8, 9, 11, 12, 14), (0, 2, 3, 5, 6, 8, 10, 11, 13, 14), EVERY),
            lead_length=0.6,
        ),
        swing=0.0,
        progressions={
            "major": ((0, 0, 3, 3), (0, 0, 4, 3)),
            "minor": ((0, 0, 0, 6), (0, 0, 5, 6)),
        },
        leaps=0.6,
    ),
    "rock": Style(
        calm=Part(
            drums=(("kick", (0, 8)), ("snare", (4, 12))),
            cymbals=(("hat", EIGHTHS),),
            bass=tuple((s, 4, "root") for s in QUARTERS),
            chords=((0, 4), (4, 4), (8, 4), (12, 4)),
            rhythms=((0, 4, 6, 8, 12), (0, 4, 8, 10, 12), (0, 2, 4, 8)),
            lead_length=0.95,
        ),
        energetic=Part(
            drums=(("kick", (0, 6, 8)), ("snare", (4, 12))),
            cymbals=(("open hat", QUARTERS), ("hat", OFFBEATS)),
            bass=tuple((s, 2, "root") for s in EIGHTHS),
            chords=tuple((s, 2) for s in EIGHTHS),
            rhythms=((0, 2, 4, 6, 8, 10, 12, 14), (0, 2, 4, 6, 7, 8, 12, 14), (0, 1, 2, 4, 6, 8, 10, 12)),
            lead_length=0.9,
        ),
        swing=0.0,
        progressions={
            "major": ((0, 4, 5, 3), (0, 3, 4, 4), (0, 5, 3, 4)),
            "minor": ((0, 5, 2, 6), (0, 6, 5, 6)),
        },
        leaps=0.35,
    ),
    "jazz": Style(
        calm=Part(
            drums=(("rim", (4, 12)),),
            cymbals=(("ride", (0, 4, 6, 8, 12, 14)),),
            bass=((0, 8, "root"), (8, 8, "fifth")),
            chords=((0, 3), (6, 5)),
            rhythms=((0, 6, 8, 14), (2, 4, 8, 10), (0, 4, 6, 10)),
            lead_length=0.9,
        ),
        energetic=Part(
            drums=(("rim", (4, 12)), ("snare", (6, 14)), ("kick", (0,))),
            cymbals=(("ride", (0, 4, 6, 8, 12, 14)),),
            bass=((0, 4, "root"), (4, 4, "third"), (8, 4, "fifth"), (12, 4, "octave")),
            chords=((2, 2), (6, 2), (10, 2), (14, 2)),
            rhythms=((0, 2, 4, 6, 8, 10, 12, 14), (0, 2, 4, 6, 8, 10, 14), (2, 4, 6, 8, 10, 12, 14)),
            lead_length=0.85,
        ),
        swing=0.66,
        progressions={
            "major": ((1, 4, 0, 5), (0, 5, 1, 4), (2, 5, 1, 4)),
            "minor": ((0, 3, 4, 0), (0, 5, 3, 4)),
        },
        leaps=0.5,
    ),
    "lofi": Style(
        calm=Part(
            drums=(("kick", (0, 10)), ("rim", (4, 12))),
            cymbals=(("soft hat", EIGHTHS),),
            bass=((0, 6, "root"), (10, 6, "root")),
            chords=((0, 10), (10, 6)),
            rhythms=((0, 6, 10), (2, 6, 8), (0, 4, 10)),
            lead_length=0.8,
        ),
        energetic=Part(
            drums=(("kick", (0, 7, 10)), ("snare", (4, 12))),
            cymbals=(("soft hat", EVERY),),
            bass=((0, 4, "root"), (6, 3, "fifth"), (10, 4, "root"), (14, 2, "octave")),
            chords=((0, 6), (7, 3), (10, 6)),
            rhythms=((0, 3, 6, 8, 10, 14), (0, 2, 6, 8, 11, 14), (2, 3, 6, 10, 12, 14)),
            lead_length=0.8,
        ),
        swing=0.33,
        progressions={
            "major": ((3, 2, 1, 0), (0, 2, 3, 1), (1, 4, 0, 0)),
            "minor": ((0, 3, 6, 2), (5, 6, 0, 0)),
        },
        leaps=0.4,
    ),
    "classical": Style(
        calm=Part(
            drums=(("low tom", (0,)),),
            cymbals=(),
            bass=((0, 8, "root"), (8, 8, "third")),
            chords=((0, 8), (8, 8)),
            rhythms=((0, 4, 8, 12), (0, 6, 8, 12), (0, 8, 12)),
            lead_length=1.0,
        ),
        energetic=Part(
            drums=(("low tom", (0, 12)), ("high tom", (4, 8, 14))),
            cymbals=(),
            bass=((0, 4, "root"), (4, 4, "third"), (8, 4, "fifth"), (12, 4, "third")),
            chords=((0, 4), (4, 4), (8, 4), (12, 4)),
            rhythms=(
                EVERY, (0, 2, 3, 4, 6, 7, 8, 10, 11, 12, 14, 15), (0, 1, 2, 3, 4, 6, 8, 9, 10, 11, 12, 14)
            ),
            lead_length=1.0,
        ),
        swing=0.0,
        progressions={
            "major": ((0, 4, 5, 2), (0, 3, 4, 0), (0, 1, 4, 0)),
            "minor": ((0, 4, 0, 4), (0, 3, 4, 0)),
        },
        leaps=0.2,
    ),
    "funk": Style(
        calm=Part(
            drums=(("kick", (0, 10)), ("snare", (4, 12))),
            cymbals=(("hat", EIGHTHS), ("open hat", (7,))),
            bass=((0, 2, "root"), (6, 2, "fifth"), (10, 2, "octave")),
            chords=((3, 1), (6, 2), (11, 1)),
            rhythms=((0, 3, 7, 10), (3, 6, 8, 11), (0, 6, 7, 12)),
            lead_length=0.6,
        ),
        energetic=Part(
            drums=(("kick", (0, 3, 10)), ("snare", (4, 7, 12, 15))),
            cymbals=(("hat", EVERY), ("open hat", (14,))),
            bass=(
                (0, 2, "root"), (3, 1, "octave"), (6, 2, "fifth"),
                (8, 1, "root"), (10, 2, "octave"), (13, 2, "fifth"),
            ),
            chords=((0, 1), (3, 1), (6, 1), (10, 1), (11, 1), (13, 2)),
            rhythms=((0, 1, 3, 6, 7, 10, 12, 13), (0, 3, 4, 6, 9, 10, 12, 15), (1, 3, 4, 6, 8, 11, 13, 14)),
            lead_length=0.55,
        ),
        swing=0.0,
        progressions={
            "major": ((0, 3, 0, 3), (0, 0, 3, 4)),
            "minor": ((0, 3, 0, 3), (0, 0, 3, 6)),
        },
        leaps=0.45,
    ),
}  # fmt: skip
