"""Pitches that loop: each note's frequency is such that a few frames hold a whole number of its cycles.

A held note is a loop of P frames, so its frequency is a multiple of the frame rate over P. With C at
eight cycles a frame (256 Hz, the physicists' pitch) the twelve notes of just intonation are all there
or nearly so, with P at most eight. Chords are tuned by themselves, each pure.

Pitches are semitones above that C.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import log2
from typing import Final

FRAME_RATE: Final = 32
"""Frames a second."""
SAMPLE_RATE: Final = 32_000
FRAME_SAMPLES: Final = SAMPLE_RATE // FRAME_RATE
CYCLES_OF_C: Final = 8
_JUST: Final = tuple(
    Fraction(*ratio)
    for ratio in (
        (1, 1), (16, 15), (9, 8), (6, 5), (5, 4), (4, 3), (7, 5), (3, 2), (8, 5), (5, 3), (16, 9), (15, 8),
    )
)  # fmt: skip
_LONGEST_LOOP: Final = 8
_LONGEST_LOOP_OF_CHORDS: Final = 5
_TRIADS: Final = {"major": (4, 5, 6), "minor": (10, 12, 15)}
"""Frequencies of root, third and fifth, as whole numbers of one unit."""


@dataclass(frozen=True, slots=True)
class Loop:
    """Tones that repeat together after so many frames."""

    cycles: tuple[Fraction, ...]
    """Of each tone, in a frame."""
    frames: int

    @property
    def hertz(self) -> tuple[float, ...]:
        """Each tone's frequency."""
        return tuple(float(cycles * FRAME_RATE) for cycles in self.cycles)


def cents(played: Fraction, wanted: Fraction) -> float:
    """By how much a frequency is too high, in hundredths of a semitone."""
    return 1200 * log2(played / wanted)


def just(pitch: int) -> Fraction:
    """Cycles in a frame of a pitch in just intonation on C."""
    octave, step = divmod(pitch, 12)
    return CYCLES_OF_C * _JUST[step] * Fraction(2) ** octave


def note(pitch: int) -> Loop:
    """A single note: the shortest loop that is at most 6 cents off, or else the truest."""
    return _loop((just(pitch),), tolerance_cents=6.0, longest=_LONGEST_LOOP)


def chord(root: int, quality: str, *, low: int) -> Loop:
    """A triad, its tones put into the octave above the pitch `low`; within itself it is pure or nearly so."""
    third, fifth = ((4, 7), (3, 7))[quality == "minor"]
    ratios = [Fraction(part, _TRIADS[quality][0]) for part in _TRIADS[quality]]
    tones = []
    for interval, ratio in zip((0, third, fifth), ratios, strict=True):
        pitch = low + (root + interval - low) % 12
        octaves, _ = divmod(pitch - root, 12)
        tones.append(just(root) * ratio * Fraction(2) ** octaves)
    return _loop(sorted(tones), tolerance_cents=12.0, longest=_LONGEST_LOOP_OF_CHORDS)


def _loop(wanted: Sequence[Fraction], *, tolerance_cents: float, longest: int) -> Loop:
    best: tuple[float, Loop] | None = None
    for frames in range(1, longest + 1):
        near = tuple(Fraction(round(cycles * frames), frames) for cycles in wanted)
        error = max(abs(cents(n, w)) for n, w in zip(near, wanted, strict=True))
        if error <= tolerance_cents:
            return Loop(cycles=near, frames=frames)
        if best is None or error < best[0]:
            best = (error, Loop(cycles=near, frames=frames))
    assert best is not None
    return best[1]
