from recipes.bundled_model import card
from text2song.model.library import bundled_model


def test_the_shipped_card_says_what_was_measured_of_the_shipped_weights() -> None:
    shipped, found = bundled_model(), card.kept()
    assert found["fingerprint"] == shipped.fingerprint
    assert (shipped.folder / card.NAME).read_text(encoding="utf-8") == card.card(found)


def test_every_attribute_has_its_row() -> None:
    found = card.kept()
    text = card.card(found)
    for name, limit in found["ceilings"].items():
        assert f"| {name} | {found['adherence'][name]['right']:.2f} |" in text
        assert f"| {limit:.2f} |" in text
    assert "{" not in text


def test_the_card_names_every_word_of_the_vocabulary_but_moods() -> None:
    vocabulary = bundled_model().vocabulary
    assert vocabulary is not None
    text = card.TEMPLATE.read_text(encoding="utf-8")
    assert [word for word in (*vocabulary.styles, *vocabulary.instruments) if word not in text] == []
