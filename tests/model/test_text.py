"""How a sentence becomes tokens; the encoder is tested in test_t5.py."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from tests.model.playing import with_weights
from text2song.errors import InvalidInput, ModelCorrupt
from text2song.model.musicgen import MusicGen
from text2song.model.protocol import play
from text2song.model.text import TOKEN_LIMIT
from text2song.music.attributes import INSTRUMENT_LIMIT, WORD_LIMIT, MusicAttributes
from text2song.music.sentence import TEXT_LIMIT, render
from text2song.music.spec import GenerationSpec

LONG = "slow strings, " * 60


@pytest.fixture
def demanding(mono_folder: Path, tmp_path: Path) -> Path:
    """A model whose tokenizer.json asks to cut and to fill every text."""
    folder = with_weights(mono_folder, tmp_path / "demanding", dict)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(max_length=8)
    tokenizer.enable_padding(length=16)
    tokenizer.save(str(folder / "tokenizer.json"))
    assert tokenizer.encode(LONG).ids.count(0) == 8
    return folder


@pytest.mark.parametrize("sentence", ["lo-fi", LONG])
def test_a_sentence_is_read_whole_and_alone_whatever_the_file_asks_for(
    demanding: Path, mono_folder: Path, sentence: str
) -> None:
    ours = MusicGen.load(demanding)._parts.reader.encode(sentence).token_ids
    plain = MusicGen.load(mono_folder)._parts.reader.encode(sentence).token_ids
    assert ours == plain
    assert len(ours) == len(sentence) + 1
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(demanding / "tokenizer.json"))  # type: ignore[no-untyped-call] # theirs is untyped
    assert list(ours) == theirs(sentence, padding=False, truncation=False)["input_ids"]


def test_a_tokenizer_of_another_kind_is_damaged(mono_folder: Path, tmp_path: Path) -> None:
    folder = with_weights(mono_folder, tmp_path / "other", dict)
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["type"] = "Abacus"
    (folder / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(ModelCorrupt, match=r"tokenizer\.json is damaged"):
        MusicGen.load(folder)


def test_the_longest_sentence_fits_though_each_letter_is_a_token(noise: MusicGen) -> None:
    word = "w" * WORD_LIMIT
    attributes = MusicAttributes(
        style=word, mood=word, instrumentation=(word,) * INSTRUMENT_LIMIT, tempo_bpm=123.456
    )
    sentence = render("t" * TEXT_LIMIT, attributes)
    assert len(sentence) + 1 == len(noise._parts.reader.encode(sentence).token_ids) <= TOKEN_LIMIT


def test_a_sentence_of_too_many_tokens_ends_its_row_alone(noise: MusicGen) -> None:
    specs = [
        GenerationSpec(sentence, seed=1, duration_seconds=0.5) for sentence in ("rain", "\u591c" * TEXT_LIMIT)
    ]
    outcomes = {result.row: result.outcome for result in play(noise, specs)}
    refusal = outcomes[1]
    assert isinstance(refusal, InvalidInput)
    assert not refusal.is_retryable
    assert "6001 tokens" in refusal.message
    assert not isinstance(outcomes[0], InvalidInput)
