import math

import pytest

from text2song.errors import InvalidInput
from text2song.numbers import require_number, require_whole


@pytest.mark.parametrize("value", [1, 1.0, 4.5, 9])
def test_a_number_within_its_bounds_is_a_float(value: float) -> None:
    taken = require_number(value, name="tempo", low=1, high=9)
    assert (taken, type(taken)) == (value, float)


@pytest.mark.parametrize("value", [True, "3", None, [3]])
def test_what_only_looks_like_a_number_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match="tempo must be a number") as caught:
        require_number(value, name="tempo", low=0, high=9)
    assert caught.value.field == "tempo"


@pytest.mark.parametrize("value", [0.999, 9.001, math.nan, math.inf, -math.inf])
def test_a_number_out_of_bounds_is_told_them_with_their_unit(value: float) -> None:
    with pytest.raises(InvalidInput, match=r"tempo must be between 1 and 9 bpm, not ") as caught:
        require_number(value, name="tempo", low=1, high=9, unit="bpm")
    assert caught.value.field == "tempo"


@pytest.mark.parametrize("value", [1, 9])
def test_a_whole_number_within_its_bounds_stays_one(value: int) -> None:
    assert require_whole(value, name="takes", low=1, high=9) == value


@pytest.mark.parametrize(
    ("value", "words"),
    [(True, "whole"), (3.0, "whole"), ("3", "whole"), (0, "between 1 and 9"), (10, "between 1 and 9")],
)
def test_any_other_is_refused(value: object, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        require_whole(value, name="takes", low=1, high=9)
    assert caught.value.field == "takes"
