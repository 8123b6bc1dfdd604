"""What pydantic finds wrong with a request, in words that a musician understands.

Never echoes what was sent: it may be long, or private. Only the names of fields come back, cut short.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from text2song.names import HIDDEN_KEY, KEY_SHAPE
from text2song.wire import NO_NULS, FieldProblem

FAULT_LIMIT: Final = 20
"""Faults that one answer lists: a list of a million wrong numbers needs no million complaints."""

_KEY: Final = re.compile(KEY_SHAPE)
_PLACES: Final = ("body", "query", "path", "header", "cookie")

_WORDS: Final[Mapping[str, str]] = {
    "missing": "is missing",
    "extra_forbidden": "is not a field that exists here: check its spelling, or leave it out",
    "string_type": "must be text, in quotation marks",
    "string_unicode": "holds characters that are not valid Unicode",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "is a number too large to handle",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number; NaN and Infinity are none",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list, in square brackets",
    "tuple_type": "must be a list, in square brackets",
    "dict_type": "must be an object, in braces",
    "model_type": "must be an object, in braces",
    "model_attributes_type": "must be an object, in braces",
    "uuid_type": "must be an id, such as 0198c0de-0000-7000-8000-000000000000",
    "uuid_parsing": "must be an id, such as 0198c0de-0000-7000-8000-000000000000",
    "uuid_version": "must be an id that this server gave out",
    "datetime_type": "must be a date and time, such as 2026-01-31T12:00:00Z",
    "datetime_parsing": "must be a date and time, such as 2026-01-31T12:00:00Z",
    "datetime_from_date_parsing": "must be a date and time, such as 2026-01-31T12:00:00Z",
    "timezone_aware": "must say its time zone, such as the Z in 2026-01-31T12:00:00Z",
}
_FORMS: Final[Mapping[str, str]] = {NO_NULS: "must hold no NUL character"}
_COUNTED: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "greater_than": lambda ctx: f"must be more than {ctx['gt']}",
    "greater_than_equal": lambda ctx: f"must be {ctx['ge']} or more",
    "less_than": lambda ctx: f"must be less than {ctx['lt']}",
    "less_than_equal": lambda ctx: f"must be {ctx['le']} or less",
    "literal_error": lambda ctx: f"must be one of {ctx['expected']}",
    "enum": lambda ctx: f"must be one of {ctx['expected']}",
    "string_pattern_mismatch": lambda ctx: _FORMS.get(
        ctx["pattern"], "does not have the form that is expected here"
    ),
    "string_too_long": lambda ctx: f"is too long: the limit is {ctx['max_length']} characters",
    "string_too_short": lambda ctx: f"is too short: it needs {_count(ctx['min_length'], 'character')}",
    "too_long": lambda ctx: f"has too many entries: the limit is {ctx['max_length']}",
    "too_short": lambda ctx: f"has too few entries: it needs {ctx['min_length']}",
}


def describe(error: RequestValidationError) -> tuple[FieldProblem, ...]:
    """Each fault with its dotted field path, at most `FAULT_LIMIT` of them."""
    return tuple(
        FieldProblem(field=_field(fault["loc"]), message=_message(fault))
        for fault in error.errors()[:FAULT_LIMIT]
    )


def summarise(faults: Sequence[FieldProblem]) -> str:
    """The first fault as a sentence, and how many others there are."""
    first = f"{faults[0].field} {faults[0].message}"
    others = len(faults) - 1
    return f"{first} ({_count(others, 'more fault')} in `errors`)." if others else f"{first}."


def describe_broken_json(error: RequestValidationError) -> str | None:
    """Where the JSON of the body breaks; None when the body was JSON."""
    for fault in error.errors():
        if fault["type"] == "json_invalid":
            reason = fault["ctx"]["error"]
            return f"The body is not valid JSON: {reason}, at character {fault['loc'][-1] + 1}."
    return None


def describe_unreadable_body(error: HTTPException) -> str:
    """Why FastAPI could not even start to read the body as JSON."""
    match error.__cause__:
        case UnicodeDecodeError():
            return "The body is not valid UTF-8: save or send it as UTF-8 text."
        case RecursionError():
            return "The body is nested too deeply: no request needs more than a few levels."
        case json.JSONDecodeError() | ValueError():
            return "The body is not valid JSON: one of its numbers has too many digits."
    return printable(error.detail, limit=300)


def printable(text: str, *, limit: int) -> str:
    """`text` as it may stand in JSON, a header's neighbour or a log: no control or surrogate characters.

    Nor a key, which somebody may have pasted into an address.
    """
    hidden = _KEY.sub(HIDDEN_KEY, text[: limit + 1])
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in hidden)
    return clean if len(clean) <= limit else f"{clean[: limit - 1]}…"


def _field(location: Sequence[str | int]) -> str:
    """`("body", "prompt", "attributes", "tempo")` becomes `prompt.attributes.tempo`."""
    inner = location[1:] if len(location) > 1 and location[0] in _PLACES else location
    return printable(".".join(printable(str(part), limit=80) for part in inner), limit=300)


def _message(fault: Mapping[str, Any]) -> str:
    kind, context = fault["type"], fault.get("ctx", {})
    if kind in _WORDS:
        return _WORDS[kind]
    if kind in _COUNTED:
        return printable(_COUNTED[kind](context), limit=300)
    told = str(fault["msg"]).removeprefix("Value error, ").rstrip(".")
    return printable(told[:1].lower() + told[1:], limit=300)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
