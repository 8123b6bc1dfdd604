import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from text2song.errors import InvalidInput
from text2song.music.attributes import MusicAttributes
from text2song.music.sentence import TEXT_LIMIT, render

FULL = MusicAttributes(
    style="lo-fi",
    mood="mellow",
    tempo_bpm=84,
    instrumentation=("piano", "bass", "brushed drums"),
    duration_seconds=8.0,
)


def test_text_first_then_the_attributes_in_one_order() -> None:
    assert render("a slow walk home", FULL) == (
        "a slow walk home, lo-fi, mellow, piano, bass and brushed drums, 84 bpm"
    )


@pytest.mark.parametrize(
    ("attributes", "added"),
    [
        (MusicAttributes(), ""),
        (MusicAttributes(duration_seconds=9.0), ""),
        (MusicAttributes(style="jazz"), ", jazz"),
        (MusicAttributes(instrumentation=("oud",)), ", oud"),
        (MusicAttributes(instrumentation=("oud", "ney")), ", oud and ney"),
        (MusicAttributes(tempo_bpm=92.5), ", 92.5 bpm"),
        (MusicAttributes(tempo_bpm=92.0), ", 92 bpm"),
    ],
)
def test_only_what_is_given_is_said(attributes: MusicAttributes, added: str) -> None:
    assert render(" a  walk\n", attributes) == f"a walk{added}"


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=80))
def test_stored_attributes_give_the_same_sentence(text: str) -> None:
    if not text.strip():
        return
    stored = MusicAttributes.from_json(FULL.as_json())

    assert render(text, FULL) == render(text, stored) == render(f" {text} ", FULL)


def test_another_process_gives_the_same_sentence() -> None:
    script = (
        "from text2song.music.attributes import MusicAttributes\n"
        "from text2song.music.sentence import render\n"
        f"print(ascii(render('ein Lied', MusicAttributes.from_json({FULL.as_json()!r}))))"
    )

    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert other.stdout.strip() == ascii(render("ein Lied", FULL))


@pytest.mark.parametrize(
    "text", ["", "  \n", "a\x07b", "a" * (TEXT_LIMIT + 1), "\u33a6" * (TEXT_LIMIT - 100)]
)
def test_a_text_that_says_nothing_or_too_much_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        render(text, MusicAttributes())
    assert caught.value.field == "text"


def test_the_longest_text_is_allowed() -> None:
    assert render("a" * TEXT_LIMIT, MusicAttributes()) == "a" * TEXT_LIMIT


def test_a_text_counts_as_the_model_reads_it() -> None:
    assert render("\ufb03" * (TEXT_LIMIT // 3), MusicAttributes()) == "\ufb03" * (TEXT_LIMIT // 3)
    with pytest.raises(InvalidInput, match=f"{TEXT_LIMIT + 1} characters once its ligatures"):
        render("\ufb03" * (TEXT_LIMIT // 3 + 1), MusicAttributes())
