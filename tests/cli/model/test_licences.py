import pytest

from text2song.cli.model.licences import licence_sentence, licence_words


@pytest.mark.parametrize(
    ("name", "sentence", "words"),
    [
        ("unknown", "The weights come without a licence: ask their author", "no licence stated"),
        ("other", "The weights have a licence of their own: read it", "a licence of its own"),
        ("mit", "Licence of the weights: mit.", "mit"),
        ("CC-BY-NC-4.0", "Licence of the weights: CC-BY-NC-4.0; it forbids commercial use", "CC-BY-NC-4.0"),
    ],
)
def test_a_licence_is_told_in_a_sentence_and_in_few_words(name: str, sentence: str, words: str) -> None:
    assert licence_sentence(name).startswith(sentence)
    assert licence_words(name) == words
