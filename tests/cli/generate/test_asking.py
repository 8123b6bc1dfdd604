from dataclasses import fields
from typing import Any

import pytest

from text2song.cli.generate.asking import OPTIONS, request_of
from text2song.cli.generate.command import Wish
from text2song.errors import InvalidInput

ID = "0198c0de-0000-7000-8000-000000000000"


def test_everything_that_is_typed_arrives() -> None:
    wish = Wish(
        text="a slow walk home",
        style="lo-fi",
        tempo=84,
        instruments=("piano", "brushed drums"),
        mood="mellow",
        duration=8,
        seed=7,
        takes=2,
        temperature=0.9,
        top_k=100,
        top_p=0.8,
        guidance=4,
        model="facebook/musicgen-small",
    )
    assert request_of(wish).model_dump(mode="json", exclude_unset=True) == {
        "prompt": {
            "text": "a slow walk home",
            "attributes": {
                "style": "lo-fi",
                "tempo": 84,
                "instrumentation": ["piano", "brushed drums"],
                "mood": "mellow",
            },
        },
        "generation_params": {
            "duration": 8,
            "seed": 7,
            "temperature": 0.9,
            "top_k": 100,
            "top_p": 0.8,
            "guidance_scale": 4,
        },
        "num_samples": 2,
        "model": "facebook/musicgen-small",
    }


def test_what_is_left_out_is_left_to_the_studio() -> None:
    body = request_of(Wish(text="x"))
    assert body.model_dump(exclude_unset=True) == {
        "prompt": {"text": "x", "attributes": {}},
        "generation_params": {},
    }


def test_every_option_has_a_place_in_the_body() -> None:
    assert len(OPTIONS) == len(fields(Wish))


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ({"text": ""}, "TEXT is too short"),
        ({"text": "x" * 2001}, "TEXT is too long"),
        ({"tempo": -3}, "--tempo must be 20"),
        ({"tempo": float("nan")}, "--tempo must be a finite number"),
        ({"duration": 0.1}, "--duration must be 0.5"),
        ({"seed": -1}, "--seed must be 0"),
        ({"takes": 0}, "--takes must be 1"),
        ({"takes": 17}, "--takes must be 16"),
        ({"temperature": 0}, "--temperature must be"),
        ({"top_k": -1}, "--top-k must be"),
        ({"top_p": float("inf")}, "--top-p must be"),
        ({"guidance": 0}, "--guidance must be"),
        ({"style": ""}, "--style is too short"),
        ({"mood": "x" * 200}, "--mood is too long"),
        ({"instruments": ("piano", "")}, "--instrument is too short"),
        ({"instruments": ("x",) * 30}, "--instrument has too many"),
    ],
)
def test_what_cannot_be_is_refused_in_the_name_of_its_option(typed: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        request_of(Wish(**({"text": "x"} | typed)))
    assert refused.value.message.startswith(message)


def test_without_words_the_command_says_what_to_type() -> None:
    with pytest.raises(InvalidInput, match=r"say what to make"):
        request_of(Wish())


def test_a_sample_is_named_by_its_id_alone() -> None:
    assert str(request_of(Wish(from_sample=ID)).from_sample) == ID
    with pytest.raises(InvalidInput, match=r"--from-sample must be an id"):
        request_of(Wish(from_sample="take.flac"))


@pytest.mark.parametrize("other", [{"text": "x"}, {"seed": 0}, {"instruments": ("piano",)}, {"takes": 2}])
def test_a_sample_is_made_exactly_as_it_was(other: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=f"leave out {next(iter(other))}"):
        request_of(Wish(from_sample=ID, **other))
