"""Where a bucket is, and with which key: `s3://bucket/prefix`, its query and the AWS_* environment.

The URL says what is about this bucket: its name, a prefix, and, after a question mark, `endpoint`, `region`,
`path_style` and `allow_http`. Secrets are never in it: those come from the environment, under the names
that every S3 tool knows, so that neither a log nor `ps` tells them.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qs, urlsplit

from text2song.blobs.signing import AccessKey
from text2song.errors import InvalidSetting

SETTING: Final = "TEXT2SONG_BLOBS_URL"
DEFAULT_REGION: Final = "us-east-1"
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")
_PREFIX: Final = re.compile(r"(?!\.{1,2}(/|$))[A-Za-z0-9._-]+(/(?!\.{1,2}(/|$))[A-Za-z0-9._-]+)*")
"""Plain characters, so that a path is the same however it is escaped."""
_REGION: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?", re.IGNORECASE)
_ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_REGIONS: Final = ("AWS_REGION", "AWS_DEFAULT_REGION")
_OPTIONS: Final = frozenset({"endpoint", "region", "path_style", "allow_http"})
_TRUTHS: Final = {"true": True, "false": False}
_EXAMPLE: Final = "s3://bucket/prefix?endpoint=https://s3.example.org&region=us-east-1"


@dataclass(frozen=True, slots=True)
class BucketAddress:
    """One bucket of one server, and who asks there."""

    bucket: str
    prefix: str
    """Before every key; empty for none, without slashes at its ends."""
    endpoint: str
    """Of the server, such as `https://s3.eu-west-1.amazonaws.com`."""
    region: str
    is_path_style: bool
    """Whether the bucket stands in the path, and not in the host's name."""
    key: AccessKey | None
    """None: the role of this machine, for which obstore asks the cloud's own service."""
    authorities: bytes | None = field(default=None, repr=False)
    """Certificates (PEM) to trust beside the system's own."""
    given_as: str = SETTING
    """Where a person said so, for messages that have it corrected."""

    @property
    def host_url(self) -> str:
        """Scheme, host and the path before the bucket's name; of the bucket's own host where it has one."""
        parts = urlsplit(self.endpoint)
        return self.endpoint if self.is_path_style else f"{parts.scheme}://{self.bucket}.{parts.netloc}"

    @property
    def path(self) -> str:
        """What stands before a key in the path of its URL."""
        parts = (
            urlsplit(self.endpoint).path.strip("/"),
            self.bucket if self.is_path_style else "",
            self.prefix,
        )
        return "".join(f"/{part}" for part in parts if part)

    @property
    def origin(self) -> str:
        """Scheme, host and port of the URLs of blobs."""
        return origin_of(self.host_url)

    @property
    def is_plain_http(self) -> bool:
        """Whether the bytes go in the clear."""
        return self.endpoint.startswith("http:")

    def __str__(self) -> str:
        """For messages: no secret in it."""
        return f"the bucket {self.bucket} at {self.endpoint}"


class _NoBucket(Exception):
    """Why a URL is none."""


def address_of(url: str, environment: Mapping[str, str], *, name: str = SETTING) -> BucketAddress:
    """The bucket that `s3://...` means in this environment. Nothing is asked over the network.

    `name` says in errors where the URL was given.

    Raises:
        InvalidSetting: when it cannot be one. The URL is not repeated in full: a secret may stand in it
            by mistake.
    """
    try:
        return _address_of(url, environment, name=name)
    except _NoBucket as reason:
        raise InvalidSetting(
            f"{name} is no bucket: {reason}. Write it like {_EXAMPLE}.", field=name
        ) from None


def _address_of(url: str, environment: Mapping[str, str], *, name: str) -> BucketAddress:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _NoBucket("it is not even a URL") from None
    options = _options(parts)
    bucket, prefix = _bucket(parts), parts.path.strip("/")
    if prefix and not _PREFIX.fullmatch(prefix):
        raise _NoBucket("the prefix may have letters, digits, dots, dashes, underscores and single slashes")
    region = options.get("region") or _first(environment, _REGIONS) or DEFAULT_REGION
    if not _REGION.fullmatch(region):
        raise _NoBucket("the region may have letters, digits and dashes")
    named = options.get("endpoint") or _first(environment, _ENDPOINTS)
    endpoint = named.rstrip("/") if named else f"https://s3.{region}.amazonaws.com"
    _require_endpoint(endpoint, allows_http=_truth(options, "allow_http", default=False))
    # a bucket with a dot in its name has no certificate of its own at AWS
    is_path_style = _truth(options, "path_style", default=bool(named) or "." in bucket)
    if not is_path_style and urlsplit(endpoint).path:
        raise _NoBucket("an endpoint with a path needs path_style=true")
    return BucketAddress(
        bucket,
        prefix,
        endpoint,
        region,
        is_path_style,
        key=_access_key(environment),
        authorities=_authorities(environment),
        given_as=name,
    )


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL (RFC 6454)."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def is_loopback(host: str | None) -> bool:
    """Whether what is sent there stays on this machine."""
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return host == "localhost"


def _options(parts: SplitResult) -> dict[str, str]:
    if parts.fragment or "@" in parts.netloc:
        raise _NoBucket(
            "a key or a fragment has no place in it: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    try:
        found = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise _NoBucket("behind the question mark stand name=value pairs") from None
    unknown = sorted(set(found) - _OPTIONS)
    if unknown or any(len(values) > 1 for values in found.values()):
        raise _NoBucket(f"it may have each of {', '.join(sorted(_OPTIONS))} once, and nothing else")
    return {name: values[0] for name, values in found.items()}


def _bucket(parts: SplitResult) -> str:
    if parts.scheme != "s3" or not _BUCKET.fullmatch(parts.netloc):
        raise _NoBucket("the name of a bucket has 2 to 63 letters, digits, dots, dashes and underscores")
    return parts.netloc


def _truth(options: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = options.get(name)
    if text is not None and text not in _TRUTHS:
        raise _NoBucket(f"{name} is true or false")
    return default if text is None else _TRUTHS[text]


def _require_endpoint(endpoint: str, *, allows_http: bool) -> None:
    try:
        parts = urlsplit(endpoint)
        is_plain = _is_host(parts) and not parts.query and not parts.fragment
    except ValueError:
        is_plain = False
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not is_plain:
        raise _NoBucket(
            "the endpoint is scheme and host, such as https://s3.example.org or http://127.0.0.1:8333"
        )
    if parts.scheme == "http" and not allows_http and not is_loopback(parts.hostname):
        raise _NoBucket(
            f"the endpoint {endpoint} would send every byte in the clear: use https://, or add "
            "allow_http=true where the network between is yours alone"
        )


def _is_host(parts: SplitResult) -> bool:
    return _HOST.fullmatch(parts.netloc) is not None and (parts.port is None or parts.port > 0)


def _access_key(environment: Mapping[str, str]) -> AccessKey | None:
    key_id, secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
    if bool(key_id) != bool(secret):
        raise InvalidSetting(
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together, and only one of them is set: set "
            "both, or neither where this machine has a role of its own.",
            field="AWS_SECRET_ACCESS_KEY" if key_id else "AWS_ACCESS_KEY_ID",
        )
    if not key_id or not secret:
        return None
    return AccessKey(key_id, secret, environment.get("AWS_SESSION_TOKEN") or None)


def _authorities(environment: Mapping[str, str]) -> bytes | None:
    path = environment.get("AWS_CA_BUNDLE")
    if not path:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidSetting(
            f"AWS_CA_BUNDLE is {path}, which cannot be read ({error.strerror}): name a file of certificates "
            "(PEM), or unset it.",
            field="AWS_CA_BUNDLE",
        ) from error


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((environment[name] for name in names if environment.get(name)), None)
