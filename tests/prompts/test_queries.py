import pytest

from text2song.db.pages import DEFAULT_LIMIT
from text2song.prompts import queries, service
from text2song.prompts.queries import searchable
from text2song.prompts.schemas import Attributes, PromptIn
from text2song.studio import Studio


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("WALK", "walk"),
        ("Caf\u00e9", "CAFE\u0301"),  # one letter, or a letter and its accent
        ("Stra\u00dfe", "STRASSE"),
        ("\uff57alk", "walk"),  # a wide letter
        ("sil\u00adver\u200b", "silver"),  # where it may be broken, and nobody sees
    ],
)
def test_one_word_has_one_form(one: str, other: str) -> None:
    assert searchable(one) == searchable(other)


def test_words_that_differ_stay_different() -> None:
    assert len({searchable(word) for word in ("walk", "work", "cafe", "caf\u00e9")}) == 4


def test_the_attributes_are_found_like_the_text(studio: Studio) -> None:
    with studio.work() as work:
        body = PromptIn(text="a slow walk", attributes=Attributes(mood="mellow"))
        prompt = service.create(work, body)
        assert queries.sentence_of(prompt) == "a slow walk, mellow"
    with studio.read() as reader:
        for search, found in (("MELLOW walk", 1), ("walk fast", 0), ("%", 0), ("", 1)):
            page = queries.find(reader, search=search, cursor=None, limit=DEFAULT_LIMIT)
            assert len(page.rows) == found, search
