"""What every request and response body shares: strict models, pages, and the shape of a problem.

Lies below the features, so that their schemas and their documented errors are alike without
importing the API. Which error gets which status is not known here; see `api/problems.py`.
"""

import re
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from text2song.db.pages import CURSOR_PATTERN, MAX_LIMIT
from text2song.errors import InvalidInput
from text2song.music.attributes import clean_text

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"
"""RFC 9457, section 3."""
ID_PATTERN: Final = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
"""RFC 9562, section 4. Python's UUID also takes braces, `urn:uuid:`, no hyphens and other digits."""
IDS_PATTERN: Final = f"^{ID_PATTERN}(,{ID_PATTERN})*$"
"""For the documentation of a parameter that takes several ids; its endpoint says what is wrong."""
NO_NULS: Final = r"^[^\x00]*$"
"""Of a text to look for: SQLite ends it at a NUL, and would look for less; PostgreSQL takes none."""
PROBLEM_SCHEMA_REF: Final = "#/components/schemas/Problem"

T = TypeVar("T")


class WireModel(BaseModel):
    """A body: unknown fields are refused, NaN and infinities too, and nothing changes after validation.

    Fields with a default are always sent, so the schema of an answer calls them required.
    """

    model_config = ConfigDict(
        extra="forbid",
        allow_inf_nan=False,
        frozen=True,
        json_schema_serialization_defaults_required=True,
    )


def _refuse_lookalikes(value: object) -> object:
    if isinstance(value, bool | str):
        raise PydanticCustomError("number_expected", "must be a number, without quotation marks")
    return value


Whole = Annotated[int, BeforeValidator(_refuse_lookalikes)]
"""A whole number in a JSON body. Pydantic alone would read `true` as 1 and `"3"` as 3."""
Number = Annotated[float, BeforeValidator(_refuse_lookalikes)]
"""A number in a JSON body, under the same rule."""


def one_line(text: str) -> str:
    """What `clean_text` refuses, refused under the path that the text has in the body."""
    try:
        return clean_text(text, name="text", limit=len(text))
    except InvalidInput as error:
        raise PydanticCustomError(
            "text", "{fault}", {"fault": error.message.removeprefix("text ")}
        ) from error


def is_id(text: str) -> bool:
    """Whether `text` is an id in the one form in which ids are given out; the case of its letters is free."""
    return re.fullmatch(ID_PATTERN, text) is not None


def ids_of(text: str, *, most: int) -> list[uuid.UUID]:
    """What a parameter of several ids says.

    Raises:
        InvalidInput: for anything but 1 to `most` ids with commas between.
    """
    parts = text.split(",")
    if not all(map(is_id, parts)):
        raise InvalidInput("ids must be ids with commas between, and nothing else.", field="ids")
    if len(parts) > most:
        raise InvalidInput(f"at most {most} ids at once.", field="ids")
    return [uuid.UUID(part) for part in parts]


def _refuse_other_forms(value: object) -> object:
    if isinstance(value, str) and not is_id(value):
        raise PydanticCustomError("uuid_parsing", "must be an id")
    return value


Id = Annotated[uuid.UUID, BeforeValidator(_refuse_other_forms)]
"""An id in a request."""

Cursor = Annotated[
    str | None,
    # told, and not enforced by pydantic: a bad cursor has a code of its own
    Query(
        description="From `next_cursor` of the page before.", json_schema_extra={"pattern": CURSOR_PATTERN}
    ),
]


def _refuse_other_digits(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch("[0-9]+", value):
        raise PydanticCustomError("int_parsing", "must be a whole number, in digits alone")
    return value


Limit = Annotated[
    int,
    Query(ge=1, le=MAX_LIMIT, description="Items of one page."),
    # Pydantic alone would read `1_0` and `+5`; behind Query, whose bounds else lose their names in OpenAPI
    BeforeValidator(_refuse_other_digits),
]


class Page(WireModel, Generic[T]):
    """One page of a list."""

    items: list[T]
    next_cursor: str | None = Field(
        description="Give this as `cursor` to get the next page; null on the last page."
    )


class FieldProblem(WireModel):
    """One fault in what was sent."""

    field: str = Field(description="Where it lies, as a dotted path.", examples=["prompt.attributes.tempo"])
    message: str = Field(description="What is wrong with it.")


class Problem(WireModel):
    """An error as RFC 9457 writes it, with the studio's stable code."""

    type: str = Field(description="Where this kind of problem is described, relative to this server.")
    title: str = Field(description="The kind of problem, in a few words.")
    status: int = Field(description="The HTTP status, repeated.")
    detail: str = Field(description="What is wrong, and what to do next.")
    code: str = Field(description="Stable: scripts may rely on it.", examples=["not_found"])
    instance: str = Field(description="The path that was asked for.")
    request_id: str = Field(description="Stands in the server's log too, and in `X-Request-ID`.")
    field: str | None = Field(default=None, description="The first fault's place, where there is one.")
    errors: list[FieldProblem] = Field(default=[], description="Each fault, where the input has faults.")


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a router gives FastAPI as `responses=`, for the problems that its endpoint can answer with.

    >>> sorted(problem_responses(404, 409))
    [404, 409]
    """
    return {status: problem_response(HTTPStatus(status).phrase) for status in statuses}


def problem_response(description: str) -> dict[str, Any]:
    """One entry of OpenAPI's `responses`: a problem, under its own media type.

    FastAPI's `model=` would file it under `application/json`; `create_app` adds the schema itself.
    """
    content: Mapping[str, Any] = {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": PROBLEM_SCHEMA_REF}}}
    return {"description": description, "content": content}
