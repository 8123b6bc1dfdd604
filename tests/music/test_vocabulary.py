from typing import Any

import pytest

from text2song.music.vocabulary import Vocabulary

DOCUMENT: dict[str, Any] = {
    "styles": ["lo-fi", "ambient"],
    "instruments": ["piano", "music box"],
    "moods": [],
    "tempo_range_bpm": [60, 180],
    "note": "It passes over other words.",
}
READ = Vocabulary(("lo-fi", "ambient"), ("piano", "music box"), (), (60, 180), "It passes over other words.")


def test_what_is_stored_is_read() -> None:
    assert Vocabulary.read(DOCUMENT) == READ
    assert Vocabulary.read(READ.as_json()) == READ
    assert READ.as_json() == DOCUMENT
    assert Vocabulary.read({**DOCUMENT, "keys": ["C"]}) == READ  # a later version may know more


@pytest.mark.parametrize(
    "change",
    [
        {"styles": "lo-fi"},
        {"styles": [3]},
        {"moods": None},
        {"moods": [""]},
        {"instruments": ["x" * 501]},
        {"tempo_range_bpm": [60]},
        {"tempo_range_bpm": 60},
        {"tempo_range_bpm": ["60", "180"]},
        {"tempo_range_bpm": [180, 60]},
        {"tempo_range_bpm": [float("nan"), 180]},
        {"note": ["a", "b"]},
        {"note": ""},
    ],
)
def test_another_form_is_no_vocabulary(change: dict[str, object]) -> None:
    assert Vocabulary.read(DOCUMENT | change) is None


@pytest.mark.parametrize("document", [None, [], "words", {}, {"styles": []}])
def test_what_is_no_document_is_no_vocabulary(document: object) -> None:
    assert Vocabulary.read(document) is None


@pytest.mark.parametrize(
    ("sentence", "is_known"),
    [
        ("a Lo-Fi beat", True),
        ("a walk, music box, 84 bpm", True),
        ("pianoforte", False),
        ("music for boxes", False),
        ("a slow walk home", False),
        ("", False),
    ],
)
def test_a_word_is_known_where_it_stands_alone(sentence: str, *, is_known: bool) -> None:
    assert READ.knows_some_of(sentence) is is_known


def test_without_words_nothing_is_known() -> None:
    assert not Vocabulary((), (), (), (60, 180), "Nothing.").knows_some_of("lo-fi")


def test_a_person_reads_it_kind_by_kind() -> None:
    assert READ.as_lines() == (
        "styles: lo-fi, ambient",
        "instruments: piano, music box",
        "tempo: 60 to 180 beats a minute",
        "It passes over other words.",
    )
