"""At musicgen-small's exact configuration, with random weights: the numbers and the sound of transformers.

A short clip here; the long one is a proof.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from transformers import MusicgenForConditionalGeneration

from benchmarks import musicgens
from tests.figures import RecordFigure
from text2song.model.batch import Parts, RowBatch
from text2song.model.codec import Codec
from text2song.model.decoder import Decoder
from text2song.model.precision import ORACLE, precision_for
from text2song.model.protocol import GeneratedTake

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


class Pair(NamedTuple):
    theirs: MusicgenForConditionalGeneration
    oracle: Parts
    """Ours with plain products, and sound in one piece."""


@pytest.fixture(scope="module")
def pair() -> Pair:
    theirs = musicgens.theirs("small")
    read = musicgens.weights_of(theirs)
    packed = musicgens.ours("small", dtype="float32", read=read)
    found = musicgens.read_published("small")
    oracle = replace(
        packed,
        decoder=Decoder(found.decoder, read=read, precision=ORACLE),
        codec=Codec(found, read=read, piece_frames=None),
    )
    return Pair(theirs, oracle)


def take_of(parts: Parts, frames: int) -> GeneratedTake:
    batch = RowBatch(parts)
    batch.enter(musicgens.specs(1, frames=frames)[0])
    while True:
        for result in batch.advance():
            assert isinstance(result.outcome, GeneratedTake), result.outcome
            return result.outcome


def same_sound(pair: Pair, *, frames: int) -> bool:
    take = take_of(pair.oracle, frames)
    torch.manual_seed(0)
    ids = musicgens.token_ids(pair.oracle, 1)
    made = pair.theirs.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=frames + 3)
    return np.array_equal(take.waveform.pcm, made[0].numpy())


def test_a_short_clip_is_transformers_bit_for_bit(pair: Pair) -> None:
    assert same_sound(pair, frames=25)


@pytest.mark.proof
@pytest.mark.timeout(1800)
def test_a_clip_of_five_seconds_is_transformers_bit_for_bit(pair: Pair) -> None:
    assert same_sound(pair, frames=250)


def test_logits_are_transformers_plain_exactly_and_packed_within_a_hundred_thousandth(
    pair: Pair, record_figure: RecordFigure
) -> None:
    shape = pair.oracle.decoder._shape
    packed = Decoder(
        shape,
        read=musicgens.weights_of(pair.theirs),
        precision=precision_for("float32", device=torch.device("cpu")),
    )
    states = pair.oracle.reader.encode(musicgens.SENTENCE).states
    columns = torch.randint(0, 2048, (12, 4), generator=torch.Generator().manual_seed(5))
    cache = None
    tracks = [
        decoder.open_track(states, steps=16, is_guided=True) for decoder in (pair.oracle.decoder, packed)
    ]
    both = torch.stack([states, torch.zeros_like(states)])
    differences = [0.0, 0.0]
    for column in columns:
        with torch.no_grad():
            made = pair.theirs.decoder(
                input_ids=column.repeat(2)[:, None],
                encoder_hidden_states=both,
                past_key_values=cache,
                use_cache=True,
            )
        cache = made.past_key_values
        expected = made.logits.view(2, 4, -1)
        for n, (decoder, track) in enumerate(zip((pair.oracle.decoder, packed), tracks, strict=True)):
            (logits,) = decoder.step([column[None]], tracks=[track])
            differences[n] = max(differences[n], float((logits - expected).abs().max()))
    record_figure("largest difference of logits, plain", differences[0], "")
    record_figure("largest difference of logits, packed", differences[1], "")
    assert differences[0] == 0.0
    assert differences[1] < 1e-5 * max(1.0, float(expected.abs().max()))
