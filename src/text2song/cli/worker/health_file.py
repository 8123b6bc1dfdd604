"""The file by whose age a container's probe sees whether a worker is well."""

from pathlib import Path

import structlog

log = structlog.get_logger(__name__)


class HealthFile:
    """Is there and young while the worker is well; is not there before it begins and after it ended."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def prepare(self) -> None:
        """See that it can be written, make its folder where it is missing, and take an old one away.

        Raises:
            OSError: it cannot.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)  # /run is empty after each start of the machine
        self._path.touch()
        self.remove()

    def touch(self) -> None:
        """All is well at this moment."""
        try:
            self._path.touch()
        except OSError as error:  # the probe tells; the work goes on
            log.warning("the health file cannot be written", error=str(error))

    def remove(self) -> None:
        """The worker ends."""
        self._path.unlink(missing_ok=True)
