"""Trying again what a restart of the database or of the storage broke off.

A take that was made cost minutes of a GPU; the few seconds that a server needs to come back cost
nothing beside that. What `act` writes must bear to be written twice: of a commit whose answer was
lost, nobody knows whether it came to pass.
"""

import time
from collections.abc import Callable
from typing import Final, TypeVar

import structlog

from text2song.errors import StorageFull, Unavailable

log = structlog.get_logger(__name__)

PATIENCE_SECONDS: Final = 10.0
"""Longer than a server's restart takes, and shorter than a lease."""
PAUSE_SECONDS: Final = 0.5

ResultT = TypeVar("ResultT")


def patiently(act: Callable[[], ResultT], *, is_over: Callable[[], bool]) -> ResultT:
    """What `act` comes to, tried again while something is out of reach.

    Raises:
        StudioError: what the last try raised, when it is of another kind, when `is_over`, or when the
            patience is at its end. A full disk is told at once: waiting frees no space.
    """
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return act()
        except Unavailable as error:
            if isinstance(error, StorageFull) or is_over() or time.monotonic() >= until:
                raise
            log.warning("tried again soon", code=error.code, error=error.message)
        time.sleep(PAUSE_SECONDS)
