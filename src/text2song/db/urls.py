"""Which database a URL names. A URL may hold a password, so nothing here repeats one."""

from typing import Final

from sqlalchemy import URL
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from text2song.errors import InvalidSetting

SETTING: Final = "TEXT2SONG_DATABASE_URL"
SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql+psycopg"
_SHORTER: Final = frozenset({"postgres", "postgresql"})
"""What PostgreSQL's own programs and most providers write; the driver is for us to choose."""


def parse(url: str, *, name: str = SETTING) -> URL:
    """The URL of a SQLite file or of a PostgreSQL database; `name` says in errors where it was given.

    Raises:
        InvalidSetting: when it is neither.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise InvalidSetting(
            f"{name} is not a database URL; one looks like sqlite:////home/me/studio.db.", field=name
        ) from error
    if parsed.drivername in _SHORTER:
        parsed = parsed.set(drivername=POSTGRESQL)
    if parsed.drivername not in {SQLITE, POSTGRESQL}:
        raise InvalidSetting(
            f"{name} begins with {parsed.drivername}://; use sqlite:/// or postgresql://.", field=name
        )
    if parsed.drivername == SQLITE:
        _require_file(parsed, name=name)
    elif not parsed.database and "dbname" not in parsed.query and "service" not in parsed.query:
        raise InvalidSetting(
            f"{name} names no database on its server; one looks like postgresql://me@host/studio.", field=name
        )
    return parsed


def is_sqlite(url: URL) -> bool:
    """Whether the database is a file of this machine."""
    return url.drivername == SQLITE


def place(url: URL) -> str:
    """Where the database is, in words that hold no password."""
    if is_sqlite(url):
        return url.database or ""
    database, host = url.database or _first(url, "dbname"), url.host or _first(url, "host")
    if not database:  # a service, which names the rest in a file
        return f"the service {_first(url, 'service')}"
    return f"{database} on {host or 'this machine'}"


def _first(url: URL, name: str) -> str:
    value = url.query.get(name, "")
    return value if isinstance(value, str) else ", ".join(value)


def _require_file(url: URL, *, name: str) -> None:
    if not url.database or url.database.startswith((":memory:", "file:")):
        raise InvalidSetting(
            f"{name} must name a file, such as sqlite:////home/me/studio.db: a database in memory "
            "cannot be shared by the server and its workers.",
            field=name,
        )
