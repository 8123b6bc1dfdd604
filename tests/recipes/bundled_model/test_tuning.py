from fractions import Fraction

import pytest

from recipes.bundled_model import tuning
from recipes.bundled_model.dictionary import BASS_PITCHES, CHORD_LOW, LEAD_PITCHES, TRIADS


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
    third = {"major": Fraction(5, 4), "minor": Fraction(6, 5)}[triad[1]]
    ratios = {
        abs(round(tuning.cents(upper / lower, wanted)))
        for wanted in (third, Fraction(3, 2))
        for upper in loop.cycles
        for lower in loop.cycles
        for upper, lower in [(upper if upper > lower else 2 * upper, lower)]
        if abs(tuning.cents(upper / lower, wanted)) < 40
    }
    assert ratios
    assert min(ratios) <= 24


def test_c_is_256_hertz_and_an_octave_doubles() -> None:
    assert tuning.note(0).hertz == (256.0,)
    assert tuning.note(12).hertz == (512.0,)
    assert tuning.note(-24).hertz == (64.0,)
