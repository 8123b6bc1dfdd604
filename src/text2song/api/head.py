"""HEAD wherever there is GET (RFC 9110, section 9.3.2), without a second operation in OpenAPI."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadFromGet:
    """ASGI middleware: where the routes refuse HEAD, GET runs and its body is left out.

    A route that declares HEAD itself is asked first and keeps its own, cheaper answer; long streams should.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Try HEAD, and GET after a 405: only the router has run by then, so nothing is done twice."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        is_refused = False

        async def send_unless_refused(message: Message) -> None:
            nonlocal is_refused
            if message["type"] == "http.response.start":
                is_refused = message["status"] == 405
            if not is_refused:
                await send(message)

        async def send_without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        # each attempt gets its own scope: the router leaves its marks there
        attempt = dict(scope)
        await self._app(attempt, receive, send_unless_refused)
        if is_refused:
            attempt = {**scope, "method": "GET"}
            await self._app(attempt, receive, send_without_body)
        scope.update(attempt, method="HEAD")
