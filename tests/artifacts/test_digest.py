import io
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from text2song.artifacts.digest import canonical_json, sha256_hex, sha256_hex_of_stream

JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_the_form_by_hand() -> None:
    value = {"b": [1, 2.5, None, True], "a": {"é": '"\n🎵'}}

    assert canonical_json(value) == '{"a":{"é":"\\"\\n🎵"},"b":[1,2.5,null,true]}'.encode()


def reordered(value: Any) -> Any:  # noqa: ANN401  # any JSON value
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return [reordered(inner) for inner in value] if isinstance(value, list) else value


@given(JSON_VALUES)
def test_one_value_has_one_form_and_comes_back(value: Any) -> None:  # noqa: ANN401  # any JSON value
    assert canonical_json(value) == canonical_json(reordered(value))
    assert json.loads(canonical_json(value)) == value


@pytest.mark.parametrize("value", [math.nan, {"a": [math.inf]}, -math.inf, "\ud800"])
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"Out of range|surrogates"):
        canonical_json(value)


@pytest.mark.parametrize("value", [{1: "a", "1": "b"}, [{"x": ({None: 1},)}], {"a": b"bytes"}, {"a": {1, 2}}])
def test_what_is_no_json_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        canonical_json(value)


def test_the_digest_is_sha256() -> None:
    """The example of FIPS 180-4 for the message "abc"."""
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

    assert sha256_hex(b"abc") == expected
    assert sha256_hex_of_stream(io.BytesIO(b"abc")) == expected
    assert sha256_hex_of_stream(io.BytesIO(b"")) == sha256_hex(b"")


def test_a_stream_is_digested_from_where_it_stands() -> None:
    stream = io.BytesIO(b"xyabc")
    stream.seek(2)

    assert sha256_hex_of_stream(stream) == sha256_hex(b"abc")
