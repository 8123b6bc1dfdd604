"""What is said twice in one request is refused: the second would win, or the first, without a word.

JSON leaves open what a doubled name means (RFC 8259, section 4), and Python keeps the last.
"""

import json
from collections import Counter
from contextlib import suppress
from email.message import Message
from typing import Any, Final

from fastapi import Request

from text2song.api.validation import printable
from text2song.errors import InvalidInput

_WITH_A_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
_KEY_HEADER: Final = "idempotency-key"


async def refuse_doubled_names(request: Request) -> None:
    """A dependency of the whole application.

    It reads the body a second time, after FastAPI: 6 microseconds for a usual body, and for the
    worst megabyte 50 milliseconds after FastAPI's own 25.

    Raises:
        InvalidInput: with the doubled name as its field.
    """
    if len(request.headers.getlist(_KEY_HEADER)) > 1:
        raise InvalidInput("Idempotency-Key is given twice: give one key.", field=_KEY_HEADER)
    if request.method in _WITH_A_BODY and _is_json(request.headers.get("content-type", "")):
        body = await request.body()
        # no JSON after all: where a body is wanted, FastAPI said so
        with suppress(ValueError, RecursionError):
            json.loads(body, object_pairs_hook=_require_single)


def _is_json(content_type: str) -> bool:
    """What FastAPI reads as JSON, told as FastAPI tells it: in any case, and with `+json` too."""
    header = Message()
    header["content-type"] = content_type
    subtype = header.get_content_subtype()
    return header.get_content_maintype() == "application" and (subtype == "json" or subtype.endswith("+json"))


def _require_single(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        doubled, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        shown = printable(doubled, limit=80)
        raise InvalidInput(f"{shown} stands twice in one object of the body: give it once.", field=shown)
    return found
