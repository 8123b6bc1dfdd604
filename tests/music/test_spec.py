import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from text2song.errors import InvalidInput
from text2song.music.sampling import SEED_LIMIT, SamplingParams
from text2song.music.spec import AdapterWeight, GenerationSpec

SPECS = st.builds(
    GenerationSpec,
    sentence=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200),
    seed=st.integers(0, SEED_LIMIT),
    duration_seconds=st.floats(0.5, 300.0),
    sampling=st.builds(SamplingParams, temperature=st.floats(0.05, 5.0), top_k=st.integers(0, 2048)),
    adapters=st.lists(
        st.builds(
            AdapterWeight,
            digest=st.text("0123456789abcdef", min_size=64, max_size=64),
            weight=st.floats(-4, 4),
        ),
        max_size=3,
    ).map(tuple),
)
STORED = GenerationSpec(
    "a walk", seed=7, duration_seconds=8.0, adapters=(AdapterWeight("ab" * 32),)
).as_json()


@given(SPECS)
def test_specs_come_back_from_their_stored_form(spec: GenerationSpec) -> None:
    assert GenerationSpec.from_json(json.loads(json.dumps(spec.as_json()))) == spec


def test_the_stored_form_by_hand() -> None:
    assert STORED == {
        "sentence": "a walk",
        "seed": 7,
        "duration": 8.0,
        "temperature": 1.0,
        "top_k": 250,
        "top_p": 1.0,
        "guidance_scale": 3.0,
        "adapters": [{"digest": "ab" * 32, "weight": 1.0}],
    }


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"sentence": ""}, "sentence"),
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"duration": math.nan}, "duration"),
        ({"duration": 0.1}, "duration"),
        ({"duration": 301}, "duration"),
        ({"temperature": math.nan}, "temperature"),
        ({"adapters": [{"digest": "ab", "weight": math.nan}]}, "weight"),
        ({"adapters": [{"digest": "ab", "weight": 4.1}]}, "weight"),
    ],
)
def test_what_determines_no_take_is_refused_by_name(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        GenerationSpec.from_json({**STORED, **change})
    assert caught.value.field == field


def test_equal_specs_are_one_key() -> None:
    assert len({GenerationSpec.from_json(STORED), GenerationSpec.from_json(STORED)}) == 1
