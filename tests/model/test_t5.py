"""T5's encoder, held to transformers'."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import T5Config, T5EncoderModel
from transformers.models.t5.modeling_t5 import T5Attention

from tests.figures import RecordFigure
from tests.model.tiny import Weights, configured, largest_difference, randomised
from text2song.model.t5 import TextEncoder, distance_kinds

TOLERANCE = 1e-5
"""Of the largest value: float32's rounding, some dozen times."""
LENGTHS = (1, 2, 9, 40, 200)
"""Tokens; distances beyond 128 are all one kind."""
VARIANTS: dict[str, dict[str, Any]] = {
    "T5": {},
    "T5 1.1": {"feed_forward_proj": "gated-gelu", "num_layers": 3},
    "heads wider than the state": {"d_kv": 20, "num_heads": 3, "num_layers": 2},
    "few kinds of distance": {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 20},
    "a large epsilon": {"layer_norm_epsilon": 0.1, "num_layers": 2},
}


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("variant", VARIANTS)
def test_states_are_those_of_transformers(
    tmp_path: Path, record_figure: RecordFigure, variant: str, seed: int
) -> None:
    shape = configured(tmp_path, part="text_encoder", values=VARIANTS[variant]).text_encoder
    standard = {"vocab_size": 259, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 1, "num_heads": 4}
    theirs = T5EncoderModel(T5Config(**standard | VARIANTS[variant]))
    randomised(theirs, seed=seed)
    theirs.train(mode=False)
    weights = Weights(theirs, prefix="text_encoder.")
    ours = TextEncoder(shape, read=weights.read)
    assert weights.names - weights.asked == {"text_encoder.encoder.embed_tokens.weight"}  # is `shared`

    found = []
    for length in LENGTHS:
        tokens = torch.randint(0, 259, (length,), generator=torch.Generator().manual_seed(seed))
        with torch.inference_mode():
            expected = theirs(input_ids=tokens[None]).last_hidden_state[0]
        found.append(largest_difference(ours.encode(tokens), expected))
    record_figure("largest difference from transformers, of the largest value", max(found), "")
    assert max(found) < TOLERANCE


@pytest.mark.parametrize(("buckets", "max_distance"), [(32, 128), (32, 300), (16, 64), (8, 20), (4, 2)])
def test_distances_fall_into_transformers_buckets(buckets: int, max_distance: int) -> None:
    """To the last one: a step's edge may fall on a whole distance, where rounding decides."""
    places = torch.arange(400)
    kinds_of: Any = T5Attention._relative_position_bucket  # untyped
    expected = kinds_of(places[None] - places[:, None], num_buckets=buckets, max_distance=max_distance)
    assert torch.equal(distance_kinds(400, buckets=buckets, max_distance=max_distance), expected)
    assert len(expected.unique()) == buckets - 1  # nothing that comes later stands at distance 0


def test_a_token_is_read_in_its_place(tmp_path: Path) -> None:
    theirs = T5EncoderModel(T5Config(vocab_size=259, d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=4))
    randomised(theirs, seed=0)
    shape = configured(tmp_path, part="text_encoder", values={}).text_encoder
    ours = TextEncoder(shape, read=Weights(theirs, prefix="text_encoder.").read)
    one, other = (ours.encode(torch.tensor(tokens)) for tokens in ([5, 6, 7, 1], [7, 6, 5, 1]))
    assert (one[1] - other[1]).abs().max() > 0.01  # the same token between the same two, which changed places
