from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import MusicgenForConditionalGeneration

from recipes.bundled_model import codec, language_model, reading
from recipes.bundled_model.dictionary import CODES, K
from recipes.bundled_model.language_model import Options

READER = reading.tokenizer()
QUICK = Options(steps=4, batch=1, warmup_steps=2, saved_every=2, workers=0)


def an_untaught_model() -> MusicgenForConditionalGeneration:
    torch.manual_seed(0)
    return language_model.untaught(reading.untaught_encoder(READER), codec.configuration())


def test_each_codebook_comes_one_step_later_than_the_one_before() -> None:
    codes = torch.randint(0, CODES, (2, K, 7))
    read, written = language_model.delayed(codes)
    for clip in range(2):
        for book in range(K):
            for step in range(7 + K - 1):
                frame = step - book
                wanted = int(codes[clip, book, frame]) if 0 <= frame < 7 else CODES
                assert written[clip, book, step] == wanted
                if step + 1 < read.shape[2]:
                    assert read[clip, book, step + 1] == wanted
            assert read[clip, book, 0] == CODES


def test_the_loss_is_that_of_transformers_own_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language_model, "_EARLY_WEIGHT", 0.0)
    model = an_untaught_model()
    model.eval()  # type: ignore[no-untyped-call]
    words = reading.tokenize(["a happy song"], READER)
    codes = torch.from_numpy(language_model.clip("loss", frames=20).codes)[None]
    found = language_model.losses(model, words, codes, given=torch.zeros(1), is_said=torch.ones(1))
    _, written = language_model.delayed(codes)
    read, _ = language_model.delayed(codes)
    logits = model(
        input_ids=words.tokens, attention_mask=words.mask, decoder_input_ids=read.reshape(K, -1)
    ).logits  # [K, S, N]
    for book in range(K):
        wanted = torch.nn.functional.cross_entropy(
            logits[book, book : book + 20], written[0, book, book : book + 20]
        )
        assert found[book].item() == pytest.approx(wanted.item(), abs=1e-5)


def test_an_unsaid_caption_makes_no_difference() -> None:
    model = an_untaught_model()
    model.eval()  # type: ignore[no-untyped-call]
    codes = torch.from_numpy(language_model.clip("unsaid", frames=12).codes)[None]
    one, other = (
        language_model.losses(
            model, reading.tokenize([text], READER), codes, given=torch.zeros(1), is_said=torch.zeros(1)
        )
        for text in ("a happy song", "a very sad techno track, 120 bpm")
    )
    assert torch.allclose(one, other, atol=1e-6)


def test_an_interrupted_training_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    whole = an_untaught_model()
    language_model.train(whole, READER, options=QUICK, state=tmp_path / "whole.pt")
    broken = an_untaught_model()
    language_model.train(broken, READER, options=replace(QUICK, stop_after=2), state=tmp_path / "broken.pt")
    other = an_untaught_model()
    language_model.train(other, READER, options=QUICK, state=tmp_path / "broken.pt")
    for name, weight in whole.decoder.state_dict().items():
        assert torch.equal(weight, other.decoder.state_dict()[name]), name


def test_a_step_draws_the_same_songs_whoever_makes_them() -> None:
    alone = iter(language_model.Songs(QUICK, first_step=0))
    later = iter(language_model.Songs(QUICK, first_step=1))
    next(alone)
    one, other = next(alone), next(later)
    assert one.captions == other.captions
    assert np.array_equal(one.codes, other.codes)


def test_the_learning_rate_rises_stays_and_falls() -> None:
    options = Options(steps=1000, warmup_steps=100, decay_part=0.3)
    rates = [language_model.rate_at(step, options) for step in range(1000)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[100:700] == [1.0] * 600
    assert all(a > b for a, b in pairwise(rates[700:]))
    assert rates[-1] < 0.01


def test_what_is_given_is_not_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language_model, "_EARLY_WEIGHT", 0.0)
    model = an_untaught_model()
    model.eval()  # type: ignore[no-untyped-call]
    words, said = reading.tokenize(["a happy song"], READER), torch.ones(1)
    codes = torch.from_numpy(language_model.clip("given", frames=20).codes)[None]
    found = language_model.losses(model, words, codes, given=torch.tensor([8]), is_said=said)
    each = language_model.log_probabilities(model, words, codes, is_said=said)
    assert torch.allclose(found, -each[0, :, 8:].mean(1))


def test_clips_begin_with_their_song_or_are_given_a_beginning() -> None:
    shortest, longest = language_model.LENGTHS[0][1], language_model.LENGTHS[-1][1]
    assert {language_model.clip(str(seed), frames=shortest).given for seed in range(20)} == {0}
    assert {language_model.clip(str(seed), frames=longest).given for seed in range(20)} == {0, 115}
