"""The front door, locked from the first day: who may ask, from which page, through which road.

A server on loopback without a login trusts everyone who can reach it, and a browser on the same
machine runs pages by strangers. Three doors are closed here, before any other code runs:

* DNS rebinding: a stranger's name that points to 127.0.0.1. Only known hosts are answered.
* Cross-site requests: forms and scripts of other pages. Writes must come from this server's own
  origin or from no page at all; reads too, but for a link that a person follows.
* A proxy on the same machine, which would hand the loopback door to the whole network. Its
  forwarding headers give it away. A proxy that adds none, such as a bare TCP tunnel, cannot be told
  from a program on this machine; it is then stopped only where it passes on the host it was asked for.

With users, a proxy is let in, and the request is marked so that it must bring a login. Pages of other
origins than this server's own are let in where TEXT2SONG_WEB_ORIGIN names them; no other origin is ever
sent a CORS header, so it cannot read an answer.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from text2song.errors import ForeignHost, ForeignOrigin, ProxyRefused

_HOST: Final = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?P<port>:[0-9]{1,5})?", re.IGNORECASE)
_FORWARDED: Final = frozenset({
    "forwarded", "forwarded-for", "via", "cdn-loop", "x-real-ip", "x-client-ip", "client-ip",
    "true-client-ip", "x-cluster-client-ip", "x-originating-ip", "x-remote-ip", "x-remote-addr",
    "x-proxyuser-ip", "proxy-client-ip", "wl-proxy-client-ip", "fastly-client-ip", "fastly-ff",
    "fly-client-ip", "fly-forwarded-port", "do-connecting-ip", "x-nf-client-connection-ip",
    "x-original-host", "x-original-url", "x-original-proto", "x-rewrite-url", "x-arr-ssl", "x-arr-log-id",
    "x-amzn-trace-id", "x-cloud-trace-context",
})  # fmt: skip
_FORWARDED_PREFIXES: Final = (
    "x-forwarded", "x-original-forwarded", "cf-", "cloudfront-", "x-amz-cf-", "x-akamai-", "akamai-",
    "x-azure-", "x-appengine-", "x-envoy-", "x-vercel-", "x-goog-iap-", "tailscale-", "ngrok-",
)  # fmt: skip
"""What reverse proxies, content networks and tunnels add by themselves; no browser or program here does."""
_READS: Final = frozenset({"GET", "HEAD"})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

# media: whoever opens a take's link in a tab gets the browser's own player, which is a page of that answer
API_CONTENT_POLICY: Final = (
    "default-src 'none'; media-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_OWN_MEDIA: Final = "media-src 'self'"
SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": API_CONTENT_POLICY,
    # not no-referrer: under it, browsers send `Origin: null` with this server's own forms
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""Sent with every answer; a page that needs a wider content policy sets its own."""


@dataclass(frozen=True, slots=True)
class DoorOptions:
    """Whom to let in."""

    allowed_hosts: tuple[str, ...]
    """Exact names and addresses, without ports; IPv6 with or without brackets."""
    has_users: Callable[[], bool] = lambda: False
    """Whether people log in: then it does not matter that everyone can reach the door. Once true, always."""
    web_origins: tuple[str, ...] = ()
    """Origins of the studio's own pages, where they live elsewhere than this server."""


class FrontDoor:
    """ASGI middleware that raises `Refused` before anything else runs."""

    def __init__(self, app: ASGIApp, options: DoorOptions) -> None:
        self._app = app
        self._hosts = frozenset(host.lower().strip("[]") for host in options.allowed_hosts)
        self._ask_for_users = options.has_users
        self._has_users = False
        self._web_origins = frozenset(map(_origin, options.web_origins)) - {None}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, then pass on.

        Raises:
            ForeignHost: the Host header is missing, doubled, malformed or not ours.
            ForeignOrigin: another site's page asks.
            ProxyRefused: a proxy passed this on, and nobody has to log in.
        """
        if scope["type"] in {"http", "websocket"}:
            headers = Headers(scope=scope)
            await self._mind_proxies(scope, headers)
            host = self._own_host(headers)
            self._refuse_foreign_pages(scope, headers, host=host)
        await self._app(scope, receive, send)

    async def _mind_proxies(self, scope: Scope, headers: Headers) -> None:
        name = _forwarding_header(headers)
        scope.setdefault("state", {})["is_forwarded"] = name is not None
        if name is not None and not self._has_users:
            self._has_users = await run_in_threadpool(self._ask_for_users)
        if name is not None and not self._has_users:
            raise ProxyRefused(
                f"the header {name} says that a proxy passed this on, and without users everyone behind that "
                "proxy could use this studio. Configure users, or reach the server directly."
            )

    def _refuse_foreign_pages(self, scope: Scope, headers: Headers, *, host: str) -> None:
        origins = set(map(_origin, headers.getlist("origin")))
        if origins and origins <= self._web_origins:
            return
        if scope["type"] == "http" and scope["method"] in _READS:
            if _is_foreign_fetch(headers) and not _is_followed_link(headers):
                raise ForeignOrigin(
                    "a page of another site asked for this; only its own pages may read here."
                )
            return
        scheme = {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"])
        own = _origin(f"{scheme}://{host}")
        if _is_foreign_fetch(headers) or None in origins or not origins <= {own}:
            raise ForeignOrigin(
                "a page of another origin sent this, and nothing was changed. Use the studio's own page, or "
                "a program that sends no Origin header."
            )

    def _own_host(self, headers: Headers) -> str:
        """The Host header, once it is known to be this server's."""
        given = headers.getlist("host")
        match = _HOST.fullmatch(given[0]) if len(given) == 1 else None
        if match is None:
            raise ForeignHost("the request must have exactly one Host header, with a host and maybe a port.")
        if match["name"].lower().strip("[]") not in self._hosts:
            raise ForeignHost(
                f"this server does not answer as {match['name'][:100]}. Use http://127.0.0.1 with its port, "
                "or add the name to TEXT2SONG_ALLOWED_HOSTS if it is yours."
            )
        return given[0]


class SecurityHeaders:
    """ASGI middleware that adds `SECURITY_HEADERS` to every answer that has not set them itself.

    Pages may also play from `media_origin`, where a storage serves its bytes itself.
    """

    def __init__(self, app: ASGIApp, *, media_origin: str | None = None) -> None:
        self._app = app
        policy = allowing_media(API_CONTENT_POLICY, media_origin)
        self._headers = {**SECURITY_HEADERS, "Content-Security-Policy": policy}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers when the answer starts."""

        async def send_protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_protected)


def allowing_media(policy: str, origin: str | None) -> str:
    """A content policy whose pages may play from this origin too (CSP checks where a redirect leads)."""
    return policy.replace(_OWN_MEDIA, f"{_OWN_MEDIA} {origin}") if origin else policy


def _forwarding_header(headers: Headers) -> str | None:
    """By which a proxy gives itself away."""
    return next((n for n in headers if n in _FORWARDED or n.startswith(_FORWARDED_PREFIXES)), None)


def _is_foreign_fetch(headers: Headers) -> bool:
    """What the browser itself says (Fetch Metadata): `same-site` is still another port or subdomain."""
    return headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}


def _is_followed_link(headers: Headers) -> bool:
    return headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"


def _origin(text: str) -> tuple[str, str, int] | None:
    """Scheme, host and port (RFC 6454); None for `null` and for what is no origin."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.path or parts.query:
        return None
    return parts.scheme, parts.hostname, port or _DEFAULT_PORTS[parts.scheme]
