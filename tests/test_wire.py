import doctest
import math
import uuid

import pytest
from pydantic import ValidationError

from text2song import wire
from text2song.errors import InvalidInput

ID = "0198c0de-0000-7000-8000-000000000000"


class Reference(wire.WireModel):
    id: wire.Id


class Sound(wire.WireModel):
    tempo: wire.Number = 120.0
    takes: wire.Whole = 1


def test_numbers_are_numbers() -> None:
    assert Sound.model_validate({"tempo": 84, "takes": 3.0}) == Sound(tempo=84.0, takes=3)


@pytest.mark.parametrize("tempo", [True, "84", math.nan, math.inf, -math.inf, None, [84], 10**400])
def test_what_only_looks_like_a_number_is_refused(tempo: object) -> None:
    with pytest.raises(ValidationError):
        Sound.model_validate({"tempo": tempo})


@pytest.mark.parametrize("takes", [True, "3", 2.5, math.nan, math.inf, None])
def test_what_only_looks_like_a_whole_number_is_refused(takes: object) -> None:
    with pytest.raises(ValidationError):
        Sound.model_validate({"takes": takes})


@pytest.mark.parametrize("value", [7, None, 1.5, True, "7", ""])
def test_what_is_no_id_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        Reference.model_validate({"id": value})


def test_an_id_that_is_one_already_stays() -> None:
    known = uuid.UUID("0198c0de-0000-7000-8000-00000000000A")
    assert (
        Reference.model_validate({"id": known}).id == Reference.model_validate({"id": str(known)}).id == known
    )


@pytest.mark.parametrize(
    ("text", "words"), [("", "commas"), ("7", "commas"), (f"{ID},{ID},{ID}", "at most 2")]
)
def test_a_list_of_ids_has_a_form_and_a_limit(text: str, words: str) -> None:
    assert wire.ids_of(f"{ID},{ID}", most=2) == [uuid.UUID(ID)] * 2
    with pytest.raises(InvalidInput, match=words) as caught:
        wire.ids_of(text, most=2)
    assert caught.value.field == "ids"


def test_unknown_fields_are_refused_and_bodies_never_change() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        Sound.model_validate({"tmepo": 84})
    with pytest.raises(ValidationError, match="frozen"):
        Sound().takes = 2


def test_an_answer_promises_the_fields_that_it_always_sends() -> None:
    schema = Sound.model_json_schema(mode="serialization")
    assert schema["required"] == ["tempo", "takes"]
    assert "required" not in Sound.model_json_schema(mode="validation")


def test_a_page_always_says_whether_there_is_more() -> None:
    page = wire.Page[Sound](items=[Sound()], next_cursor=None)
    assert page.model_dump() == {"items": [{"tempo": 120.0, "takes": 1}], "next_cursor": None}
    assert wire.Page[Sound].model_json_schema()["required"] == ["items", "next_cursor"]


def test_problem_responses_stand_under_their_own_media_type() -> None:
    responses = wire.problem_responses(404)
    assert responses[404]["description"] == "Not Found"
    assert list(responses[404]["content"]) == ["application/problem+json"]


def test_the_examples_hold() -> None:
    assert doctest.testmod(wire).failed == 0
