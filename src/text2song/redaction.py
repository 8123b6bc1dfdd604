"""Secrets stay out of the logs, whoever wrote the line: the studio, a library, or a traceback.

Three nets, since each has holes. A value is hidden when its name says that it is a secret; where a text
looks like one (a key of the studio, a bearer token, a password in a URL, a signed link); and wherever one of
this process's own secrets stands, as it is.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from text2song.names import HIDDEN_KEY, KEY_SHAPE

HIDDEN: Final = "***"
SHORTEST: Final = 8
"""Characters. Hiding a shorter secret wherever it stands would riddle every line with holes."""
KEY_LETTERS: Final = 16
"""From how many characters on a header's value is taken for a key."""
_SECRET_NAME: Final = re.compile(
    r"(^|^pg|[_\-.])(authorization|cookie|passw(or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key|"
    r"private[_-]?key|credentials?|signature)$",
    re.IGNORECASE,
)
"""Whole words at the end: `token_ids` are the numbers of words, and no secret."""
_HEADERS_NAME: Final = re.compile(r"OTEL_EXPORTER_OTLP_([A-Z]+_)?HEADERS")
"""`name=value` pairs with commas between, by which OpenTelemetry logs in at its collector."""
_HEADERS: Final = "(?:proxy-)?authorization|(?:set-)?cookie|x-csrf-token"
_LOOKS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(KEY_SHAPE), HIDDEN_KEY),
    (re.compile(r"(?i)\b(bearer|basic)\s+(?=[^\s\"']{16})[A-Za-z0-9._~+/=-]+"), rf"\1 {HIDDEN}"),
    (  # {"Cookie": "..."}, ('cookie', '...')
        re.compile(rf"(?i)\b({_HEADERS})([\"']\s*[:=,]\s*)([\"']).*?(\3|$)", re.MULTILINE),
        rf"\1\2\3{HIDDEN}\4",
    ),
    (re.compile(rf"(?i)\b({_HEADERS})(\s*[:=]\s*)(?![\"'])[^\r\n]+"), rf"\1\2{HIDDEN}"),  # Cookie: ...
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s/:@\"']*):[^\s/\"']*@"), rf"\1:{HIDDEN}@"),
    (re.compile(r"(?i)\b(X-Amz-(?:Signature|Credential|Security-Token))=[^&\s\"'<>]+"), rf"\1={HIDDEN}"),
    (
        re.compile(
            r"(?i)\b([a-z0-9_-]*(?:password|passwd|secret|secret_?access_?key|"
            r"(?:session|access|refresh|id)_?token|api[_-]?key))"
            r"(\\?[\"']?\s*[:=]\s*\\?[\"']?)(?!\*\*\*)[^\s\"'&,;}\\]+"
        ),
        rf"\1\2{HIDDEN}",
    ),
    (re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b"), rf"\1{HIDDEN}"),
)


def secrets_in(environment: Mapping[str, str]) -> frozenset[str]:
    """The secrets that an environment holds: by the names of its variables, and inside its URLs."""
    found: set[str] = set()
    for name, value in environment.items():
        if _SECRET_NAME.search(name):
            found.add(value)
        elif _HEADERS_NAME.fullmatch(name):
            found |= _secrets_of_headers(value)
        elif "://" in value:
            found |= _passwords_in(value)
    return frozenset(secret for secret in found if len(secret) >= SHORTEST)


class Redactor:
    """Hides secrets in texts, and in whatever a line of log may carry."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        longest_first = sorted(set(secrets), key=len, reverse=True)
        self._own = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def text(self, text: str) -> str:
        """`text` without its secrets."""
        if self._own is not None:
            text = self._own.sub(HIDDEN, text)
        for pattern, shown in _LOOKS:
            text = pattern.sub(shown, text)
        return text

    def value(self, value: Any) -> Any:  # noqa: ANN401  # a log may carry anything
        """`value` without its secrets; what is no plain value becomes the text that a log shows of it."""
        match value:
            case str():
                return self.text(value)
            case None | bool() | int() | float():
                return value
            case Mapping():
                return {self.value(name): self._named(name, inner) for name, inner in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self.value(inner) for inner in value]
        return self.text(repr(value))

    def _named(self, name: object, value: Any) -> Any:  # noqa: ANN401  # as above
        return HIDDEN if isinstance(name, str) and _SECRET_NAME.search(name) else self.value(value)


def _secrets_of_headers(pairs: str) -> set[str]:
    """By their names, or so long that they are no word of a line: some collectors call their key `x-team`."""
    named = ((name.strip(), value.strip()) for name, _, value in (p.partition("=") for p in pairs.split(",")))
    return {value for name, value in named if _SECRET_NAME.search(name) or len(value) >= KEY_LETTERS}


def _passwords_in(url: str) -> set[str]:
    try:
        password = urlsplit(url).password
    except ValueError:
        return set()
    return {password, unquote(password)} if password else set()
