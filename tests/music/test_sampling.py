import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from text2song.errors import InvalidInput
from text2song.music.sampling import SEED_LIMIT, SamplingParams, require_seed

PARAMS = st.builds(
    SamplingParams,
    temperature=st.floats(0.05, 5.0),
    top_k=st.integers(0, 100_000),
    top_p=st.floats(0.01, 1.0),
    guidance_scale=st.floats(1.0, 20.0),
)


@given(PARAMS)
def test_params_come_back_from_their_stored_form(params: SamplingParams) -> None:
    assert SamplingParams.from_json(json.loads(json.dumps(params.as_json()))) == params


def test_whole_numbers_are_stored_as_the_same_params() -> None:
    assert SamplingParams(temperature=1, top_p=1, guidance_scale=3) == SamplingParams()
    assert json.dumps(SamplingParams(temperature=1).as_json()) == json.dumps(SamplingParams().as_json())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (name, value)
        for name in ("temperature", "top_k", "top_p", "guidance_scale")
        for value in (math.nan, math.inf, -math.inf, -1, "1", None, True)
    ]
    + [
        ("top_k", 10**309),
        ("temperature", 0.0),
        ("top_k", 2.5),
        ("top_p", 0.0),
        ("top_p", 1.01),
        ("guidance_scale", 0.99),
    ],
)
def test_what_cannot_be_drawn_from_is_refused_by_name(field: str, value: Any) -> None:  # noqa: ANN401  # anything
    with pytest.raises(InvalidInput, match=field) as caught:
        SamplingParams.from_json({**SamplingParams().as_json(), field: value})
    assert caught.value.field == field


@pytest.mark.parametrize("seed", [0, 7, SEED_LIMIT])
def test_every_seed_survives_a_reader_that_knows_only_doubles(seed: int) -> None:
    assert require_seed(seed) == int(float(seed))


@pytest.mark.parametrize("seed", [-1, SEED_LIMIT + 1, 1.0, "7", None, False])
def test_what_is_no_seed_is_refused(seed: object) -> None:
    with pytest.raises(InvalidInput, match="seed"):
        require_seed(seed)
