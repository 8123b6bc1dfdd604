from random import Random

import pytest

from recipes.bundled_model import words
from recipes.bundled_model.captions import ATTRIBUTES, caption
from tests.recipes.bundled_model.songs import a_song, some_songs

SPOKEN: dict[str, dict[str, tuple[str, ...]]] = {
    "style": words.STYLE_WORDS,
    "lead": words.LEAD_WORDS,
    "chords": words.CHORD_WORDS,
    "bass": words.BASS_WORDS,
    "mode": words.MODE_WORDS,
    "energy": words.ENERGY_WORDS,
}


@pytest.mark.parametrize("seed", range(60))
def test_a_caption_that_says_all_says_each_attribute_as_it_is(seed: int) -> None:
    song = some_songs(60)[seed]
    said = caption(song, Random(seed), says_all=True)
    assert said.said == frozenset(ATTRIBUTES)
    assert str(song.tempo_bpm) in said.text
    for name, spoken in SPOKEN.items():
        value = getattr(song, name)
        if value is not None:
            assert any(word in said.text for word in spoken[value]), (name, said.text)
    is_without_drums = any(
        word in said.text for word in ("no drums", "without drums", "no percussion", "drumless")
    )
    assert is_without_drums != song.has_drums


def test_what_is_not_said_is_not_in_the_words() -> None:
    for seed in range(200):
        song = a_song(seed, style="funk", lead="saxophone", chords="organ", tempo_bpm=123)
        said = caption(song, Random(seed))
        if "tempo" not in said.said:
            assert "123" not in said.text
        if "style" not in said.said:
            assert not any(word in said.text for word in words.STYLE_WORDS["funk"])
        if "lead" not in said.said:
            assert "sax" not in said.text


def test_the_lead_is_named_before_an_instrument_that_could_be_it() -> None:
    for seed in range(100):
        song = a_song(seed, lead="guitar", chords="piano")
        text = caption(song, Random(seed), says_all=True).text
        assert text.index("guitar") < text.index("piano")


def test_there_are_many_ways_to_say_the_same() -> None:
    assert len({caption(a_song(), Random(seed)).text for seed in range(300)}) > 280
