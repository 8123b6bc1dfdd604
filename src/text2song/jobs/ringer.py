"""The hand at the bell: a thread that sends bells to Redis, so that nobody who rings ever waits for it.

A bell that cannot be sent is dropped, and so are those behind it: the rows say what is to be done,
and the sweep of any worker rings for them. Nothing is tried again and again.
"""

import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from celery import Celery

from text2song.jobs.outage import Outage

TASK: Final = "text2song.run_job"
BELLS_AT_MOST: Final = 64
"""Bells of one kind that may lie in Redis, where they stay until a worker hears them: more than there
are workers wake nobody else. A bell does not expire, because dead bells would count among these."""
CLOSE_SECONDS: Final = 3.0
"""How long a process that ends waits for its last bells."""


@dataclass(frozen=True, slots=True)
class Bell:
    """The word that there is work."""

    kind: str
    passed_on: int = 0
    """How many workers heard it, could do none of the work, and rang for another."""


def queue_name(kind: str) -> str:
    """The list in Redis that holds the bells of this kind."""
    return f"text2song.{kind}"


class Ringer:
    """Sends bells, in the order in which they were rung; the thread begins with the first."""

    def __init__(self, app: Celery, outage: Outage) -> None:
        self._app = app
        self._outage = outage
        self._news = threading.Condition()
        self._waiting: deque[Bell] = deque(maxlen=BELLS_AT_MOST)
        self._is_closing = False
        self._thread: threading.Thread | None = None
        self._connection: Any = None

    def ring(self, bell: Bell) -> None:
        """Have it sent; returns at once."""
        with self._news:
            if self._is_closing:
                return
            self._waiting.append(bell)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="ringer", daemon=True)
                self._thread.start()
            self._news.notify()

    def close(self) -> None:
        """Send what was rung and let go of the connection; what is rung later is dropped."""
        with self._news:
            self._is_closing = True
            self._news.notify()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        while (bell := self._next()) is not None:
            try:
                self._send(bell)
            except Exception as error:  # noqa: BLE001  # whatever it is, a later bell may be sent
                self._hang_up()
                self._outage.begin(error)
                with self._news:
                    self._waiting.clear()
            else:
                self._outage.end()
        self._hang_up()

    def _next(self) -> Bell | None:
        with self._news:
            self._news.wait_for(lambda: self._waiting or self._is_closing)
            return self._waiting.popleft() if self._waiting else None

    def _send(self, bell: Bell) -> None:
        """Send it, by a new connection where the one at hand turns out to be dead."""
        if self._connection is not None:
            with suppress(Exception):
                self._put(bell)
                return
            self._hang_up()
        self._connection = self._app.connection_for_write()
        self._put(bell)

    def _put(self, bell: Bell) -> None:
        name = queue_name(bell.kind)
        if self._connection.default_channel.client.llen(name) < BELLS_AT_MOST:
            self._app.send_task(
                TASK,
                (bell.kind, bell.passed_on),
                queue=name,
                producer=self._app.amqp.Producer(self._connection),
                retry=False,
                ignore_result=True,
            )

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # it may be as dead as the server
                connection.release()
