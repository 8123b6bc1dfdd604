"""A connection that is given up when its request does not come.

uvicorn waits for the rest of a request for as long as the connection lasts. So a stranger without a key could
hold every connection that the system grants a process by sending half of a head on each, and keep everybody
else out.
"""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS: Final = 30.0
"""For a whole request, head and body: the largest body in so long needs 35 kB a second."""


class Connection(H11Protocol):
    """uvicorn's, with an end to its patience. How long an answer takes is no matter here."""

    _due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        """Expect the first request."""
        super().connection_made(transport)
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        if self._due is not None:
            self._due.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Expect the next request."""
        super().on_response_complete()
        self._expect_request()

    def _expect_request(self) -> None:
        if self._due is not None:
            self._due.cancel()
        self._due = self.loop.call_later(REQUEST_SECONDS, self._hang_up_if_half_sent)

    def _hang_up_if_half_sent(self) -> None:
        cycle: Any = self.cycle
        if cycle is None or cycle.response_complete or cycle.more_body:
            self.transport.close()
