"""A number that is asked for often and costs something each time."""

import math
import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

LIVE_SECONDS: Final = 5.0
"""How long an answer holds at least."""
SHARE: Final = 0.01
"""Of the time that may go into looking: what took 0.2 s is looked at again after 20 s."""

ValueT = TypeVar("ValueT")


class Kept(Generic[ValueT]):
    """What `look` answers, looked at again when it is old; however many ask, and however much there is."""

    def __init__(
        self, look: Callable[[], ValueT], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._look = look
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._value: ValueT | None = None
        self._good_until = -math.inf

    def __call__(self) -> ValueT:
        """The value; whoever asks meanwhile waits for one look, not for many. An error is not kept."""
        with self._lock:
            began = self._monotonic()
            if self._value is None or began >= self._good_until:
                self._value = self._look()
                took = self._monotonic() - began
                self._good_until = began + took + max(LIVE_SECONDS, took / SHARE)
            return self._value
