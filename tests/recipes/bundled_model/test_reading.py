from random import Random

import torch

from recipes.bundled_model import brief as briefs
from recipes.bundled_model import reading, words
from recipes.bundled_model.captions import caption
from text2song.music.attributes import MusicAttributes
from text2song.music.sentence import render

READER = reading.tokenizer()
SPOKEN = (
    words.STYLE_WORDS,
    words.LEAD_WORDS,
    words.CHORD_WORDS,
    words.BASS_WORDS,
    words.MODE_WORDS,
    words.ENERGY_WORDS,
)


def tokens_of(text: str) -> list[str]:
    return list(READER.convert_ids_to_tokens(READER(text).input_ids))


def test_every_word_of_the_vocabulary_is_known() -> None:
    for spoken in SPOKEN:
        for phrase in (word for ways in spoken.values() for word in ways):
            assert "<unk>" not in tokens_of(phrase), phrase
    assert "<unk>" not in tokens_of(", ".join(words.DRUM_WORDS))


def test_numbers_are_one_token_each_also_beside_their_unit() -> None:
    for tempo in range(words.TEMPO_RANGE_BPM[0], words.TEMPO_RANGE_BPM[1] + 1):
        assert tokens_of(f"{tempo}bpm") == [str(tempo), "bpm", "</s>"]


def test_an_unknown_word_is_one_token_that_says_nothing() -> None:
    assert tokens_of("Xylophone jazz, ¿qué?") == ["<unk>", "jazz", ",", "<unk>", "<unk>", "<unk>", "</s>"]


def test_what_the_studio_makes_of_attributes_is_read_word_by_word() -> None:
    attributes = MusicAttributes(
        style="lo-fi", mood="mellow", tempo_bpm=84, instrumentation=("piano", "drums")
    )
    read = tokens_of(render("A walk home", attributes))
    assert [word for word in read if word not in {",", "-", "</s>"}] == [
        "a", "walk", "home", "lo", "fi", "mellow", "piano", "and", "drums", "84", "bpm"
    ]  # fmt: skip


def test_padding_changes_no_caption() -> None:
    torch.manual_seed(0)
    encoder = reading.untaught_encoder(READER)
    encoder.eval()  # type: ignore[no-untyped-call]
    texts = [caption(briefs.draw(Random(i)), Random(i)).text for i in range(4)]
    together = reading.tokenize(texts, READER)
    states = encoder(input_ids=together.tokens, attention_mask=together.mask).last_hidden_state
    for row, text in enumerate(texts):
        alone = reading.tokenize([text], READER)
        length = alone.tokens.shape[1]
        wanted = encoder(input_ids=alone.tokens, attention_mask=alone.mask).last_hidden_state[0]
        assert torch.allclose(states[row, :length], wanted, atol=1e-5)


def test_teaching_lowers_the_loss() -> None:
    torch.manual_seed(0)
    encoder = reading.untaught_encoder(READER)
    first = reading.teach(encoder, READER, steps=1, batch=32)
    assert reading.teach(encoder, READER, steps=25, batch=32) < first


def test_tempi_begin_side_by_side() -> None:
    torch.manual_seed(0)
    table = reading.untaught_encoder(READER).shared.weight.detach()
    tokens = READER.get_vocab()

    def likeness(one: int, other: int) -> float:
        return float(torch.cosine_similarity(table[tokens[str(one)]], table[tokens[str(other)]], dim=0))

    assert likeness(119, 120) > 0.98
    assert likeness(100, 120) < likeness(100, 110) < likeness(100, 105)
    assert abs(likeness(60, 180)) < 0.3
    assert likeness(180, 240) == likeness(180, 181)
