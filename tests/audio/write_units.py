"""How long units that write keep others waiting."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, event

from text2song.db.engine import WRITES_OPTION


@contextmanager
def write_units_timed(engine: Engine) -> Iterator[list[float]]:
    """How long each unit that writes holds the lock, in seconds."""
    held: list[float] = []
    began: dict[Connection, float] = {}

    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get(WRITES_OPTION):
            began[connection] = time.perf_counter()

    def end(connection: Connection) -> None:
        if connection in began:
            held.append(time.perf_counter() - began.pop(connection))

    event.listen(engine, "begin", begin)
    event.listen(engine, "rollback", end)
    event.listen(engine, "commit", end)
    yield held
    event.remove(engine, "begin", begin)
    event.remove(engine, "rollback", end)
    event.remove(engine, "commit", end)
