"""Telling of a server that is out of reach: once when it goes, and once when it is back."""

import structlog

log = structlog.get_logger(__name__)


class Outage:
    """One thing that may fail for a while."""

    def __init__(self, what: str, *, server: str) -> None:
        self._what = what
        self._server = server
        self.is_on = False
        """Whether the last attempt failed."""

    def begin(self, error: Exception) -> None:
        """An attempt failed."""
        if not self.is_on:
            self.is_on = True
            log.warning("out of reach", what=self._what, server=self._server, error=str(error))

    def end(self) -> None:
        """An attempt succeeded."""
        if self.is_on:
            self.is_on = False
            log.info("reached again", what=self._what, server=self._server)
