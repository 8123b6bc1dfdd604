"""The address of a Redis or Valkey server: checked before anybody connects, shown without its password."""

from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

from text2song.errors import InvalidSetting

SETTING: Final = "TEXT2SONG_QUEUE_URL"
SCHEMES: Final = ("redis://", "rediss://")
TLS_OPTIONS: Final = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
"""Files of a `rediss://` server whose certificate no public authority has signed, or that asks for ours."""
_EXAMPLE: Final = "redis://:PASSWORD@HOST:6379/0"


def is_broker_url(url: str) -> bool:
    """Whether it names a server of this kind."""
    return url.startswith(SCHEMES)


def check_broker_url(url: str) -> None:
    """See whether it can be an address.

    Raises:
        InvalidSetting: it cannot; the message never repeats the URL, which may hold a password.
    """
    try:
        parts = urlsplit(url)
        number = parts.path.removeprefix("/")
        is_right = bool(parts.hostname) and parts.port != 0 and (not number or number.isdecimal())
    except ValueError:  # a port that is no number, brackets that do not match
        is_right = False
    if not is_right or parts.fragment or ";" in url:
        raise InvalidSetting(
            f"{SETTING} is no address of a server: write it as {_EXAMPLE}, where 0 is the number of a "
            "database. A user or a password with other characters than letters and digits must have them "
            "encoded, such as %40 for @, %2F for / and %23 for #.",
            field=SETTING,
        )
    _check_options(parts)


def shown(url: str) -> str:
    """The address for people and logs: where, and never by which password."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    user = (
        f"{parts.username or ''}:***@" if parts.password else f"{parts.username}@" if parts.username else ""
    )
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{user}{host}{port}{parts.path}"


def _check_options(parts: SplitResult) -> None:
    options = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    known = TLS_OPTIONS if parts.scheme == "rediss" else frozenset()
    if unknown := sorted(options - known):
        raise InvalidSetting(
            f"{SETTING} has the option {unknown[0]!r}, which is not known; rediss:// takes "
            f"{', '.join(sorted(TLS_OPTIONS))}, and redis:// none.",
            field=SETTING,
        )
