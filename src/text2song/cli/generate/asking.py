"""From the options that were typed to the same body that the API takes, refused in the options' own names."""

from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any, Final

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from text2song.api.validation import describe
from text2song.cli.generate.command import Wish
from text2song.errors import InvalidInput
from text2song.generation.schemas import GenerateIn

OPTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "from_sample": "--from-sample",
        "model": "--model",
        "num_samples": "--takes",
        "prompt.text": "TEXT",
        "prompt.attributes.style": "--style",
        "prompt.attributes.tempo": "--tempo",
        "prompt.attributes.instrumentation": "--instrument",
        "prompt.attributes.mood": "--mood",
        "generation_params.duration": "--duration",
        "generation_params.seed": "--seed",
        "generation_params.temperature": "--temperature",
        "generation_params.top_k": "--top-k",
        "generation_params.top_p": "--top-p",
        "generation_params.guidance_scale": "--guidance",
    }
)
"""Where each option goes in the body."""


def request_of(wish: Wish) -> GenerateIn:
    """The body of `POST /generate` for this wish.

    Raises:
        InvalidInput: in the name of the option that is at fault.
    """
    if wish.from_sample is not None:
        _require_nothing_else(wish)
        return _validated({"from_sample": wish.from_sample})
    if wish.text is None:
        raise InvalidInput(
            'say what to make, as in `text2song generate "a slow walk home"`, or give --from-sample.',
            field="TEXT",
        )
    attributes = {
        "style": wish.style,
        "tempo": wish.tempo,
        "instrumentation": list(wish.instruments) or None,
        "mood": wish.mood,
    }
    params = {
        "duration": wish.duration,
        "seed": wish.seed,
        "temperature": wish.temperature,
        "top_k": wish.top_k,
        "top_p": wish.top_p,
        "guidance_scale": wish.guidance,
    }
    prompt = {"text": wish.text, "attributes": _given(attributes)}
    body = {"prompt": prompt, "generation_params": _given(params)}
    return _validated(body | _given({"num_samples": wish.takes, "model": wish.model}))


def _require_nothing_else(wish: Wish) -> None:
    for field in fields(wish):
        if field.name != "from_sample" and getattr(wish, field.name) not in {None, ()}:
            raise InvalidInput(
                f"--from-sample makes a take exactly as it was: leave out {field.name}.",
                field="--from-sample",
            )


def _validated(body: Mapping[str, Any]) -> GenerateIn:
    try:
        return GenerateIn.model_validate(body)
    except ValidationError as error:
        first = describe(RequestValidationError(error.errors()))[0]
        option = _option_at(first.field)
        raise InvalidInput(f"{option} {first.message}.", field=option) from error


def _option_at(field: str) -> str:
    """`prompt.attributes.instrumentation.0` is `--instrument` too."""
    return next((o for place, o in OPTIONS.items() if field == place or field.startswith(f"{place}.")), field)


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
