"""How a service is asked to end: Ctrl-C or SIGTERM once, in good order; twice, at once."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Final, Self

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """While the `with` block runs, the first signal only sets `asked`."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self._before = {number: signal.getsignal(number) for number in SIGNALS}

    def __enter__(self) -> Self:
        for number in SIGNALS:
            signal.signal(number, self._hear)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self.asked.is_set():
            raise KeyboardInterrupt
        self.asked.set()
