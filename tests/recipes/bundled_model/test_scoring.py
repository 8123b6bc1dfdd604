from random import Random

import numpy as np
import pytest

from recipes.bundled_model import dictionary, scoring
from recipes.bundled_model.brief import Brief
from recipes.bundled_model.composer import Note, compose, seconds_of_step
from recipes.bundled_model.dictionary import STEMS, Moment, Stroke
from recipes.bundled_model.scoring import Codes
from recipes.bundled_model.tuning import FRAME_RATE
from recipes.bundled_model.voices import CYMBALS, DRUMS
from tests.recipes.bundled_model.songs import a_song, some_songs


def meanings(codes: Codes, stem: int) -> list[object]:
    known = {code: key for key, code in dictionary.build().codes[stem].items()}
    return [known.get(int(code)) for code in codes[stem]]


@pytest.mark.parametrize("song", some_songs(20), ids=lambda song: f"{song.style}-{song.tempo_bpm}")
def test_each_frame_plays_the_note_that_was_struck_last(song: Brief) -> None:
    notes = compose(song, Random(4), bars=range(3))
    frames = round(3 * 16 * seconds_of_step(song) * FRAME_RATE) - 2
    codes = scoring.score(notes, song, frames=frames)
    step = seconds_of_step(song) * FRAME_RATE
    for stem in (1, 2, 3):
        mine = sorted((n for n in notes if n.stem == STEMS[stem]), key=lambda note: note.start)
        for frame, found in enumerate(meanings(codes, stem)):
            begun = [note for note in mine if round(note.start * step) <= frame]
            if not begun:
                assert found is None
                continue
            note, age = begun[-1], frame - round(begun[-1].start * step)
            is_over = age >= max(1, round((note.start + note.length) * step) - round(note.start * step))
            wanted = None if is_over else dictionary.moment_at(note.stem, note.instrument, note.pitch, age)  # type: ignore[arg-type]
            assert found == wanted


def test_a_drum_and_a_cymbal_sound_together() -> None:
    notes = [Note("drums", "kick", None, 0, 1), Note("drums", "hat", None, 0, 1)]
    codes = scoring.score(notes, a_song(), frames=8)
    found = meanings(codes, 0)
    assert found[0] == Stroke(("kick", 0), ("hat", 0))
    assert found[DRUMS["kick"].frames] is None
    assert found[CYMBALS["hat"].frames] == Stroke(("kick", CYMBALS["hat"].frames), None)


def test_a_clip_from_inside_a_song_is_that_part_of_it() -> None:
    song = a_song(tempo_bpm=120)  # a bar is two seconds
    whole = scoring.perform(song, Random(9), frames=320)
    part = scoring.perform(song, Random(9), frames=200, skipped=1.5)
    assert np.array_equal(part, whole[:, 96:296])


def test_a_held_note_keeps_its_phase() -> None:
    codes = scoring.score([Note("lead", "flute", 14, 0, 64)], a_song(tempo_bpm=60), frames=60)
    levels = [m for m in meanings(codes, 3) if isinstance(m, Moment) and m.level >= 0]
    loop = dictionary.loop_of(14).frames
    assert [m.frame for m in levels] == [(2 + i) % loop for i in range(len(levels))]
