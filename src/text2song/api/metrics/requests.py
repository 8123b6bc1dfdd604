"""Requests, how they ended and how long they took, by the template of their route.

Labels are few on purpose: a path that no route knows is `(none)` and a strange method is `OTHER`, so that
nobody can fill the memory by asking for many.
"""

import time
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BUCKETS_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNKNOWN_ROUTE: Final = "(none)"


class RequestNumbers:
    """The counters of one application."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "text2song_http_requests",
            "Requests that were answered, by this process.",
            ["method", "route", "status"],
            registry=registry,
        )
        self.seconds = Histogram(
            "text2song_http_request_seconds",
            "From the request to the end of its answer. Streams last as long as their listener takes, and "
            "polls that wait as long as they were asked to.",
            ["method", "route"],
            buckets=BUCKETS_SECONDS,
            registry=registry,
        )
        self.errors = Counter(
            "text2song_http_errors",
            "Problems that were answered, by the `code` in them (GET /docs/problems).",
            ["code"],
            registry=registry,
        )


class CountRequests:
    """ASGI middleware, the outermost: counts what everything below it answers."""

    def __init__(self, app: ASGIApp, numbers: RequestNumbers) -> None:
        self._app = app
        self._numbers = numbers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the request when its answer has ended, however it ends."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in METHODS else "OTHER"
        status = "none"

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        began = time.perf_counter()
        try:
            await self._app(scope, receive, send_noted)
        finally:
            route = getattr(scope.get("route"), "path", None) or UNKNOWN_ROUTE
            self._numbers.requests.labels(method, route, status).inc()
            self._numbers.seconds.labels(method, route).observe(time.perf_counter() - began)
            code = scope.get("state", {}).get("problem_code")
            if code is not None:
                self._numbers.errors.labels(code).inc()
