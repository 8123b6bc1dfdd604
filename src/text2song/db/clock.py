"""One clock for all who share a PostgreSQL server: the server's own.

A lease is written by one machine and judged by another. Were each to go by its own clock, one that runs
ahead by more than a lease would take the jobs of all others, and they would take them back, until the
jobs ended in failure. A SQLite file is shared by the processes of one machine, which have one clock.
"""

import datetime as dt
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import SQLAlchemyError

log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 1.0
"""How often the server is asked, if there are units."""
STEP_SECONDS: Final = 0.5
"""If this machine's clock and that counter part by more, the machine slept, or its clock was set."""
TOLD_SECONDS: Final = 5.0
"""An operator hears of a difference that is larger."""

Clock = Callable[[], dt.datetime]


def clock_of(engine: Engine, *, local: Clock) -> Clock:
    """The clock for whoever works with this database; `local` is the machine's."""
    return ServerClock(engine, local) if engine.dialect.name == "postgresql" else local


@dataclass(frozen=True, slots=True)
class _Look:
    """What three clocks showed at one moment."""

    server: dt.datetime
    local: dt.datetime
    counter: float


class ServerClock:
    """The server's time, asked for where a unit begins, on the connection that the unit has.

    Between two looks it goes on as this machine counts seconds. Only where there was no look yet, or this
    machine slept or had its clock set, does a call need a connection of its own.
    """

    def __init__(self, engine: Engine, local: Clock) -> None:
        self._engine = engine
        self._local = local
        self._look: _Look | None = None
        self._has_told = False
        event.listen(engine, "begin", self._ask)

    def __call__(self) -> dt.datetime:
        """Now, in UTC; by this machine as long as the server never answered."""
        if self._is_doubtful():
            with suppress(SQLAlchemyError), self._engine.begin():
                pass  # it has asked by now
        look = self._look
        if look is None:
            return self._local()
        return look.server + dt.timedelta(seconds=time.monotonic() - look.counter)

    def _ask(self, connection: Connection) -> None:
        if not self._is_due():
            return
        # Past SQLAlchemy, in whose events a unit's statements are counted. If the connection is dead, the
        # unit's own first statement says so as it should.
        with suppress(connection.dialect.loaded_dbapi.Error):
            cursor = connection.connection.cursor()
            before = time.monotonic()
            cursor.execute("SELECT clock_timestamp()")
            after = time.monotonic()
            answer = cursor.fetchone()
            cursor.close()
            is_prompt = after - before < STEP_SECONDS  # of a slow answer, nobody knows when it was true
            if answer is not None and (is_prompt or self._look is None):
                self._look = _Look(answer[0].astimezone(dt.UTC), self._local(), (before + after) / 2)
                self._tell(self._look)

    def _is_due(self) -> bool:
        look = self._look
        return look is None or time.monotonic() - look.counter >= LOOK_SECONDS or self._is_doubtful()

    def _is_doubtful(self) -> bool:
        look = self._look
        if look is None:
            return True
        counted = time.monotonic() - look.counter
        shown = (self._local() - look.local).total_seconds()
        return abs(shown - counted) > STEP_SECONDS

    def _tell(self, look: _Look) -> None:
        ahead_seconds = (look.local - look.server).total_seconds()
        is_off = abs(ahead_seconds) > TOLD_SECONDS
        if is_off and not self._has_told:
            log.warning("this machine's clock is not the database's", ahead_seconds=round(ahead_seconds, 1))
        self._has_told = is_off
