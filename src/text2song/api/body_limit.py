"""A limit on request bodies that holds whatever the request says of its length.

Starlette's own limit answers a too long Content-Length in plain text, whatever the exception handlers
say; this one leaves the answer to `problems`. The rest of a refused body is thrown away by the server
as it comes, a few KiB at a time, so that the client, still sending, gets to read the answer.
"""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """ASGI middleware: 413 for a body of more than `max_body_bytes`."""

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse by the declared length at once, and by the counted length as soon as it is too much."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdecimal() and int(declared) > self._max_body_bytes:
            raise self._too_large()
        counted_bytes = 0

        async def receive_limited() -> Message:
            nonlocal counted_bytes
            message = await receive()
            counted_bytes += len(message.get("body", b""))
            if counted_bytes > self._max_body_bytes:
                raise self._too_large()
            return message

        await self._app(scope, receive_limited, send)

    def _too_large(self) -> HTTPException:
        # not TooLarge itself: FastAPI turns whatever else is raised while it reads a body into a 400
        return HTTPException(413, f"the body is over the limit of {self._max_body_bytes} bytes: send less.")
