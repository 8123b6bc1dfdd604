"""Links that an object store honours without asking anybody: Signature Version 4 in a query string.

Source: AWS, "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)", whose
published example is a test here. obstore signs too, but always as of now: each of its links is another
one, and no cache would ever hit. Here the caller says as of when.
"""

import datetime as dt
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

ALGORITHM: Final = "AWS4-HMAC-SHA256"
LONGEST_SECONDS: Final = 7 * 24 * 3600
"""No server honours a link for longer."""
_SERVICE: Final = "s3"
_UNRESERVED: Final = "-_.~"
_OWN_PORTS: Final = {"http": ":80", "https": ":443"}


@dataclass(frozen=True, slots=True)
class AccessKey:
    """Who signs. Neither secret shows in a repr, so none gets into a log."""

    id: str
    secret: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    """Of temporary credentials; a link ends with them, whatever it says itself."""


def presigned_get(
    url: str, *, key: AccessKey, region: str, signed_at: dt.datetime, expires_seconds: int
) -> str:
    """`url` (scheme, host and plain path) as a link that may be read until `signed_at` + `expires_seconds`.

    The same arguments give the same link, in every process. It is good for GET alone, with any Range.

    Raises:
        ValueError: for longer than `LONGEST_SECONDS`, or for no time at all.
    """
    if not 0 < expires_seconds <= LONGEST_SECONDS:
        raise ValueError(f"a link can hold for 1 to {LONGEST_SECONDS} seconds, not {expires_seconds}")
    parts = urlsplit(url)
    moment = signed_at.astimezone(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment[:8]}/{region}/{_SERVICE}/aws4_request"
    query = {
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{key.id}/{scope}",
        "X-Amz-Date": moment,
        "X-Amz-Expires": str(expires_seconds),
        "X-Amz-SignedHeaders": "host",
    }
    if key.session_token:
        query["X-Amz-Security-Token"] = key.session_token
    host, path, written = _host(parts), quote(parts.path, safe=f"/{_UNRESERVED}"), _written(query)
    request = f"GET\n{path}\n{written}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD"
    digest = hashlib.sha256(request.encode()).hexdigest()
    signature = _signature(f"{ALGORITHM}\n{moment}\n{scope}\n{digest}", key=key, scope=scope)
    return f"{parts.scheme}://{host}{path}?{written}&X-Amz-Signature={signature}"


def _host(parts: SplitResult) -> str:
    """As browsers send it: in small letters, and without the port that is the scheme's own."""
    return parts.netloc.lower().removesuffix(_OWN_PORTS[parts.scheme])


def _written(query: Mapping[str, str]) -> str:
    """In the order and the spelling that are signed."""
    return "&".join(f"{name}={quote(query[name], safe=_UNRESERVED)}" for name in sorted(query))


def _signature(text: str, *, key: AccessKey, scope: str) -> str:
    signing_key = f"AWS4{key.secret}".encode()
    for part in scope.split("/"):
        signing_key = hmac.digest(signing_key, part.encode(), "sha256")
    return hmac.digest(signing_key, text.encode(), "sha256").hex()
