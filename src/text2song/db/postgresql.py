"""What a connection to PostgreSQL is given: limits to every wait, UTC, and the right kind of transaction.

A unit that writes runs under READ COMMITTED. Claims, fences and idempotency keys rest on it: a
compare-and-set that waited for another's row looks at that row again, and finds it taken; a key that
another unit has just committed is seen by the next statement. Under REPEATABLE READ both would end in
a serialization failure, and everything would have to be tried again from its start.

A unit that reads sees one state from its first statement to its last, as on SQLite: REPEATABLE READ,
which costs a transaction that only reads nothing.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import URL, Connection, text

from text2song.errors import InvalidSetting

if TYPE_CHECKING:
    import psycopg

CONNECT_SECONDS: Final = 5
STATEMENT_SECONDS: Final = 30
"""No statement of a request or a worker needs a second; whatever takes this long holds others up."""
LOCK_SECONDS: Final = 5
"""How long a statement waits for another unit's row, as long as SQLite waits for another writer."""
IDLE_SECONDS: Final = 10
"""How long a unit may pause between two statements; longer, and its process is frozen or gone. The longest
pause is a worker's three questions to the storage, before it keeps a take; a storage that is slower than
this breaks the unit off, and the worker tries again. Meanwhile the rows that the unit has written are
locked, so that no sweep can give a frozen worker's job to another."""
SILENCE_SECONDS: Final = 30
"""How long a server's machine may be silent before its connections count as broken."""
MIGRATION_LOCK_SECONDS: Final = 10
"""A migration that waits for a table holds up everybody who comes after it, so it gives up early."""
KEEPALIVES: Final[Mapping[str, object]] = MappingProxyType(
    {
        "keepalives_idle": SILENCE_SECONDS // 2,
        "keepalives_interval": SILENCE_SECONDS // 6,
        "keepalives_count": 3,
        "tcp_user_timeout": SILENCE_SECONDS * 1000,
    }
)


def connect_args(url: URL, *, name: str, idle_seconds: float | None = None) -> dict[str, Any]:
    """What a connection is opened with beside its URL, where the URL does not say otherwise.

    With `idle_seconds`, a unit may pause for that long at most.

    Raises:
        InvalidSetting: for an option in the URL that there is not; `name` says where it was given.
    """
    _require_options(url, name=name)
    may_pause_seconds = IDLE_SECONDS if idle_seconds is None else min(IDLE_SECONDS, idle_seconds)
    limits = {
        "statement_timeout": STATEMENT_SECONDS * 1000,
        "lock_timeout": LOCK_SECONDS * 1000,
        "idle_in_transaction_session_timeout": int(may_pause_seconds * 1000),
        "timezone": "UTC",
    }
    ours = " ".join(f"-c {setting}={value}" for setting, value in limits.items())
    given = {
        "connect_timeout": CONNECT_SECONDS,
        "application_name": "text2song",
        # of several hosts the one that takes writes, also after another has become the primary
        "target_session_attrs": "read-write",
        **KEEPALIVES,
    }
    theirs = url.query.get("options", "")
    # the last one counts
    options = f"{ours} {theirs if isinstance(theirs, str) else ' '.join(theirs)}".rstrip()
    return {key: value for key, value in given.items() if key not in url.query} | {"options": options}


def _require_options(url: URL, *, name: str) -> None:
    """Check the names of the options, which the driver would only miss when it connects."""
    from psycopg import ProgrammingError  # noqa: PLC0415  # it may be missing
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415  # it may be missing

    options = {key: value if isinstance(value, str) else ",".join(value) for key, value in url.query.items()}
    try:
        make_conninfo("", **options)
    except ProgrammingError as error:
        raise InvalidSetting(f"{name} has an {str(error).strip()}: take it out.", field=name) from error
    if not options.get("connect_timeout", "0").isdigit():
        raise InvalidSetting(f"{name}: connect_timeout is a number of seconds.", field=name)


def begin(connection: Connection, *, writes: bool) -> None:
    """Choose the kind of the transaction that is about to begin; the driver says so with its BEGIN."""
    from psycopg import IsolationLevel  # noqa: PLC0415  # it may be missing

    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]  # psycopg's
    driver.isolation_level = IsolationLevel.READ_COMMITTED if writes else IsolationLevel.REPEATABLE_READ
    driver.read_only = not writes


def take_time(connection: Connection, *, lock_seconds: float = 0) -> None:
    """Let the statements of this transaction take as long as they need; 0 waits for locks for ever too."""
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
    connection.execute(text(f"SET LOCAL lock_timeout = {int(lock_seconds * 1000)}"))
