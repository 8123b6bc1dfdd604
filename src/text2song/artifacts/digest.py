"""Digests: the names that bytes have of themselves."""

import hashlib
import json
from typing import IO, Any, Final

_CHUNK_BYTES: Final = 1024 * 1024


def canonical_json(value: Any) -> bytes:  # noqa: ANN401  # any JSON value
    """`value` as the one UTF-8 text that it has: keys sorted, no white space, no escapes but the needed.

    Equal values give equal bytes, with one exception that callers must know: 1 and 1.0 are equal in
    Python and are written differently. Text is not normalised: two spellings of é stay two.

    Raises:
        ValueError: NaN, an infinity or a lone surrogate, which JSON in UTF-8 cannot say.
        TypeError: something that is no JSON value, or a key that is no text (1 and "1" would collide).
    """
    _require_text_keys(value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def sha256_hex(data: bytes) -> str:
    """sha256 of `data`, as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_hex_of_stream(stream: IO[bytes]) -> str:
    """sha256 of what a binary stream still holds, in bounded memory."""
    running = hashlib.sha256()
    while chunk := stream.read(_CHUNK_BYTES):
        running.update(chunk)
    return running.hexdigest()


def _require_text_keys(value: object) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError(f"a key of canonical JSON must be text, not {key!r}")
            _require_text_keys(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _require_text_keys(inner)
