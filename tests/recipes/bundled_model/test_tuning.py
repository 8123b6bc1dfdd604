from fractions import Fraction

import pytest

from recipes.bundled_model import tuning
from recipes.bundled_model.dictionary import BASS_PITCHES, CHORD_LOW, LEAD_PITCHES, TRIADS

PURE = {
    "major": (Fraction(1), Fraction(5, 4), Fraction(3, 2)),
    "minor": (Fraction(1), Fraction(6, 5), Fraction(3, 2)),
}


@pytest.mark.parametrize("pitch", [*BASS_PITCHES, *LEAD_PITCHES])
def test_a_note_repeats_after_its_loop_and_is_in_tune(pitch: int) -> None:
    loop = tuning.note(pitch)
    assert (loop.cycles[0] * loop.frames).denominator == 1
    assert abs(tuning.cents(loop.cycles[0], tuning.just(pitch))) < 8
    # Just intonation itself is at most this far from the piano's twelve equal steps, but for the tritone.
    assert abs(tuning.cents(loop.cycles[0], tuning.CYCLES_OF_C * Fraction(2 ** (pitch / 12)))) < 25


@pytest.mark.parametrize("triad", TRIADS)
def test_a_chord_repeats_as_a_whole_and_is_pure(triad: tuple[int, str]) -> None:
    loop = tuning.chord(*triad, low=CHORD_LOW)
    assert all((cycles * loop.frames).denominator == 1 for cycles in loop.cycles)
    lowest = tuning.just(CHORD_LOW)
    assert all(lowest * Fraction(99, 100) <= cycles < 2 * lowest for cycles in loop.cycles)
    pure = [tuning.just(triad[0]) * ratio for ratio in PURE[triad[1]]]
    for cycles in loop.cycles:
        octaves = [tone * Fraction(2) ** octave for tone in pure for octave in (-2, -1, 0, 1, 2)]
        assert min(abs(tuning.cents(cycles, tone)) for tone in octaves) < 23  # a piano's thirds are 14 off


def test_c_is_256_hertz_and_an_octave_doubles() -> None:
    assert tuning.note(0).hertz == (256.0,)
    assert tuning.note(12).hertz == (512.0,)
    assert tuning.note(-24).hertz == (64.0,)
