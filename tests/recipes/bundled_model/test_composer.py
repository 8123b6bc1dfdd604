from random import Random

import pytest

from recipes.bundled_model import composer
from recipes.bundled_model.brief import Brief
from recipes.bundled_model.composer import STEPS, compose, seconds_of_step
from recipes.bundled_model.patterns import STYLES
from tests.recipes.bundled_model.songs import a_song, some_songs

SONGS = some_songs(60)
NATURAL = {"major": {0, 2, 4, 5, 7, 9, 11}, "minor": {0, 2, 3, 5, 7, 8, 10}}


@pytest.mark.parametrize("song", SONGS, ids=lambda song: f"{song.style}-{song.tempo_bpm}")
def test_who_is_asked_for_plays_and_nobody_else(song: Brief) -> None:
    notes = compose(song, Random(1), bars=range(8))
    playing = {(note.stem, note.instrument) for note in notes if note.stem != "drums"}
    wanted = {("lead", song.lead), ("chords", song.chords), ("bass", song.bass)}
    assert playing == {(stem, instrument) for stem, instrument in wanted if instrument is not None}
    assert any(note.stem == "drums" for note in notes) == song.has_drums


@pytest.mark.parametrize("song", SONGS, ids=lambda song: f"{song.style}-{song.mode}-{song.tonic}")
def test_the_melody_is_in_the_key_but_for_a_minor_keys_leading_note(song: Brief) -> None:
    notes = [note for note in compose(song, Random(2), bars=range(16)) if note.stem == "lead"]
    allowed = NATURAL[song.mode] | ({11} if song.mode == "minor" else set())
    assert {(note.pitch - song.tonic) % 12 for note in notes if isinstance(note.pitch, int)} <= allowed


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("energy", ["calm", "energetic"])
def test_strong_beats_fall_on_the_songs_tempo(style: str, energy: str) -> None:
    song = a_song(style=style, energy=energy, tempo_bpm=97, bass="bass")
    starts = [note.start for note in compose(song, Random(3), bars=range(4)) if note.start % 4 == 0]
    assert starts
    assert seconds_of_step(song) * 4 == pytest.approx(60 / 97)
    for note in compose(song, Random(3), bars=range(4)):
        late = note.start % 1  # only swing puts a note off the grid, and never onto the next step
        assert late == 0 or 0 < late <= STYLES[style].swing + 1e-9


def test_a_section_comes_back_and_its_middle_is_another() -> None:
    def bars_of(first: int) -> list[tuple[object, float]]:
        return [
            (note.pitch, note.start - first * STEPS)
            for note in notes
            if note.stem == "lead" and first * STEPS <= note.start < (first + 3) * STEPS
        ]

    song = a_song(style="rock", energy="energetic", lead="guitar")
    notes = compose(song, Random(5), bars=range(16))
    first, again, middle = bars_of(0), bars_of(4), bars_of(8)
    shared = set(first) & set(again)
    assert len(shared) >= 0.7 * len(first)
    assert set(middle) != set(first)


def test_energetic_songs_have_more_notes_in_every_style() -> None:
    for style in STYLES:
        counts = {}
        for energy in ("calm", "energetic"):
            song = a_song(style=style, energy=energy, has_drums=True, bass="bass", chords="organ")
            counts[energy] = len(compose(song, Random(7), bars=range(8)))
        assert counts["energetic"] > 1.2 * counts["calm"], style


def test_songs_differ_from_seed_to_seed() -> None:
    song = a_song()
    melodies = {
        tuple(note.pitch for note in compose(song, Random(seed), bars=range(4)) if note.stem == "lead")
        for seed in range(40)
    }
    assert len(melodies) > 30


def test_a_song_can_be_of_any_length() -> None:
    assert composer.compose(a_song(), Random(0), bars=range(0)) == ()
    assert max(note.start for note in compose(a_song(), Random(0), bars=range(40))) >= 39 * STEPS
