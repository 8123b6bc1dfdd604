"""A name for every request, and one line of log for each.

The line holds what operating needs and nothing private: the path's template instead of the path, no
query, no body. Everything that is logged meanwhile carries the same `request_id`.
"""

import re
import time
import uuid
from typing import Final

import structlog
import uuid_utils
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from text2song.api.validation import printable

REQUEST_ID_HEADER: Final = "X-Request-ID"
_SANE_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")

log = structlog.get_logger(__name__)


class RequestLog:
    """ASGI middleware, the outermost: names the request, times it, and logs how it ended."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Leave the id in `scope["state"]["request_id"]` for the layers below."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = choose_request_id(Headers(scope=scope))
        scope.setdefault("state", {})["request_id"] = request_id
        status: int | None = None

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            await send(message)

        started_at_seconds = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_named)
            finally:
                log.info(
                    "request",
                    method=scope["method"],
                    path=_template(scope),
                    status=status,
                    duration_ms=round((time.perf_counter() - started_at_seconds) * 1000, 1),
                )


def choose_request_id(headers: Headers) -> str:
    """The client's own id if it is one short plain word, else a new UUIDv7.

    A strange id is replaced, not refused: it must neither reach a header or a log, nor cost the request.
    """
    given = headers.getlist(REQUEST_ID_HEADER)
    if len(given) == 1 and _SANE_ID.fullmatch(given[0]):
        return given[0]
    return str(uuid.UUID(int=uuid_utils.uuid7().int))


def _template(scope: Scope) -> str:
    """`/prompts/{id}` for a known route; else the path as it was sent, cut short."""
    template = getattr(scope.get("route"), "path", None)
    return template or printable(scope["path"], limit=120)
