import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from text2song.errors import InvalidInput
from text2song.music.attributes import DURATION_RANGE_SECONDS, TEMPO_RANGE_BPM, MusicAttributes, clean_text

WORDS = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=100)
ATTRIBUTES = st.builds(
    MusicAttributes,
    style=st.none() | WORDS,
    tempo_bpm=st.none() | st.floats(*TEMPO_RANGE_BPM) | st.integers(20, 300),
    instrumentation=st.lists(WORDS, max_size=16).map(tuple),
    mood=st.none() | WORDS,
    duration_seconds=st.none() | st.floats(*DURATION_RANGE_SECONDS),
)


@given(ATTRIBUTES)
def test_attributes_come_back_from_their_stored_form(attributes: MusicAttributes) -> None:
    stored = json.loads(json.dumps(attributes.as_json()))

    assert list(stored) == ["style", "tempo", "instrumentation", "mood", "duration"]
    assert MusicAttributes.from_json(stored) == attributes


def test_absent_names_are_absent_attributes() -> None:
    assert MusicAttributes.from_json({}) == MusicAttributes()
    assert MusicAttributes.from_json({"instrumentation": None}) == MusicAttributes()


def test_words_are_cleaned() -> None:
    attributes = MusicAttributes(style="  lo-fi\n hip\thop ", instrumentation=(" grand  piano",))

    assert attributes.style == "lo-fi hip hop"
    assert attributes.instrumentation == ("grand piano",)


@pytest.mark.parametrize(
    "word",
    [
        "नम\u200cस्ते",
        "👩\u200d🎤",
        "❤\ufe0f",
        "\U0001f3f4" + "".join(chr(0xE0000 + ord(c)) for c in "gbsct") + "\U000e007f",
        "ราตรี\u200bสวัสดิ์",
        "\u200fשקט\u200f lo-fi",  # noqa: RUF001  # Hebrew
        "sil\u00adver",
        "\ufeffrain",
        "a\u2060b",
        "⠓\u2800⠊",
        "\u1100\u1160",
    ],
)
def test_words_of_every_script_are_allowed(word: str) -> None:
    assert MusicAttributes(mood=word).mood == word


@pytest.mark.parametrize(
    "letter",
    [
        *"\u00ad\u034f\u115f\u1160\u17b4\u180b\u200b\u200c\u200d\u200e\u2060\u2800\u3164\ufe0f\ufeff\uffa0",
        "\U000e0041",
        "\U000e0100",
    ],
)
def test_what_nobody_can_see_is_empty(letter: str) -> None:
    for text in (letter, f"  {letter} {letter}{letter}\u200d\n"):
        with pytest.raises(InvalidInput, match="mood is empty"):
            MusicAttributes(mood=text)


@given(st.text(max_size=120))
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    try:
        cleaned = clean_text(text, name="text", limit=100)
    except InvalidInput:
        return
    assert clean_text(cleaned, name="text", limit=100) == cleaned
    assert "\n" not in cleaned


@pytest.mark.parametrize(
    ("stored", "field", "message"),
    [
        ({"tempo": -3}, "tempo", "between 20 and 300 BPM, not -3"),
        ({"tempo": math.nan}, "tempo", "not nan"),
        ({"tempo": math.inf}, "tempo", "not inf"),
        ({"tempo": "fast"}, "tempo", "must be a number"),
        ({"tempo": True}, "tempo", "must be a number, not True"),
        pytest.param({"tempo": 10**309}, "tempo", "between 20 and 300", id="309 zeros"),
        ({"duration": 0.0}, "duration", "between 0.5 and 300 seconds"),
        ({"duration": 300.1}, "duration", "between 0.5 and 300 seconds"),
        ({"duration": math.nan}, "duration", "not nan"),
        ({"style": ""}, "style", "is empty"),
        ({"style": " \n\t"}, "style", "is empty"),
        ({"style": 5}, "style", "must be text"),
        ({"style": "a" * 101}, "style", "101 characters; the limit is 100"),
        ({"mood": "a\x00b"}, "mood", "cannot be printed"),
        ({"mood": "\ud800"}, "mood", "cannot be printed"),
        ({"mood": "a\u202eb"}, "mood", "cannot be printed"),
        ({"instrumentation": "piano"}, "instrumentation", "is a list"),
        pytest.param({"instrumentation": 5}, "instrumentation", "is a list", id="a number"),
        ({"instrumentation": [""]}, "instrumentation", "is empty"),
        ({"instrumentation": [None]}, "instrumentation", "must be text"),
        ({"instrumentation": ["x"] * 17}, "instrumentation", "at most 16"),
        ({"genre": "jazz"}, "genre", "is not an attribute; there are style"),
        ({"tempo_bpm": 90}, "tempo_bpm", "is not an attribute"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_by_name(
    stored: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        MusicAttributes.from_json(stored)
    assert caught.value.field == field


@pytest.mark.parametrize("bound", [*TEMPO_RANGE_BPM, 20, 300])
def test_the_bounds_themselves_are_allowed(bound: float) -> None:
    assert MusicAttributes(tempo_bpm=bound).tempo_bpm == float(bound)
