"""A real OpenID Connect provider for tests, which signs with real keys, checks what it must, and can lie.

It lets in whoever comes, as the person that the test names, without asking: what a person would
do on its page is no matter here.
"""

import base64
import datetime as dt
import functools
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.api.edge import serve
from text2song.settings import load_settings
from text2song.studio import Studio

CLIENT_ID = "studio"
CLIENT_SECRET = "a-secret-of-the-tests"
ROLES = "admin=leads, creator=band, rater=guests"
REDIRECT_URL = "http://127.0.0.1:8000/session/oidc/callback"
Lie = Callable[[dict[str, Any]], dict[str, Any]]
"""What becomes of a token's claims."""


@functools.cache
def key_named(key_id: str) -> RSAKey:
    """Made once: it takes a while."""
    return RSAKey.generate_key(2048, {"kid": key_id})


def packed(document: dict[str, Any]) -> str:
    return url_safe(json.dumps(document).encode())


def url_safe(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class OpenIdProvider:
    """One provider. Its `person` is who signs in next."""

    clock: Callable[[], dt.datetime]
    redirect_url: str = REDIRECT_URL
    person: dict[str, Any] = field(
        default_factory=lambda: {"sub": "ada-1", "name": "Ada", "groups": ["band"]}
    )
    key: RSAKey = field(default_factory=lambda: key_named("first"))
    issuer: str = ""
    told_issuer: str | None = None
    lie: Lie = field(default=lambda claims: claims)
    sign: Callable[[dict[str, Any]], str] | None = None
    outside_of_the_token: tuple[str, ...] = ()
    """Claims that are told at the userinfo endpoint alone."""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    status: int = 200

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.discover),
                Route("/keys", self.show_keys),
                Route("/authorize", self.authorize),
                Route("/token", self.exchange, methods=["POST"]),
                Route("/userinfo", self.tell),
            ]
        )

    async def discover(self, _: Request) -> Response:
        self.asked.append("discover")
        places = {name: f"{self.issuer}/{path}" for name, path in (
            ("authorization_endpoint", "authorize"), ("token_endpoint", "token"),
            ("jwks_uri", "keys"), ("userinfo_endpoint", "userinfo"),
        )}  # fmt: skip
        return JSONResponse({"issuer": self.told_issuer or self.issuer, **places}, status_code=self.status)

    async def show_keys(self, _: Request) -> Response:
        self.asked.append("keys")
        return JSONResponse(KeySet([self.key]).as_dict(private=False))

    async def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        assert asked["client_id"] == CLIENT_ID
        assert asked["redirect_uri"] == self.redirect_url
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        back = urlencode({"code": code, "state": asked["state"], "iss": self.issuer, "session_state": "x"})
        return RedirectResponse(f"{self.redirect_url}?{back}", status_code=303)

    async def exchange(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        expected = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {expected}":
            return JSONResponse({"error": "invalid_client"}, status_code=401)
        asked = self.codes.pop(form.get("code", ""), None)
        verifier = form.get("code_verifier", "").encode()
        challenge = url_safe(hashlib.sha256(verifier).digest())
        if asked is None or asked["code_challenge"] != challenge or form["redirect_uri"] != self.redirect_url:
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        claims = self.lie(self.claims(nonce=asked["nonce"]))
        sign = self.sign or self.signed
        return JSONResponse({"access_token": "access", "token_type": "Bearer", "id_token": sign(claims)})

    async def tell(self, request: Request) -> Response:
        assert request.headers["authorization"] == "Bearer access"
        return JSONResponse(self.person)

    def claims(self, *, nonce: str) -> dict[str, Any]:
        now = int(self.clock().timestamp())
        told = {name: value for name, value in self.person.items() if name not in self.outside_of_the_token}
        return {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": nonce, **told}

    def signed(self, claims: dict[str, Any]) -> str:
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key)

    def signed_with_the_public_key(self, claims: dict[str, Any]) -> str:
        """As if the public key were a shared secret. By hand: no library signs so any more."""
        text = f"{packed({'alg': 'HS256', 'kid': self.key.kid})}.{packed(claims)}"
        return f"{text}.{url_safe(hmac.digest(self.key.as_pem(private=False), text.encode(), 'sha256'))}"

    def unsigned(self, claims: dict[str, Any]) -> str:
        return f"{packed({'alg': 'none', 'kid': self.key.kid})}.{packed(claims)}."

    def signed_by_another(self, claims: dict[str, Any]) -> str:
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, key_named("another"))


@contextmanager
def serving(provider: OpenIdProvider) -> Iterator[OpenIdProvider]:
    """The provider on a port of its own."""
    with serve(provider.app()) as port:
        provider.issuer = f"http://127.0.0.1:{port}"
        yield provider


def with_provider(studio: Studio, provider: OpenIdProvider, **settings: str) -> Studio:
    """The studio whose settings name the provider."""
    given = {
        "ISSUER": provider.issuer,
        "CLIENT_ID": CLIENT_ID,
        "CLIENT_SECRET": CLIENT_SECRET,
        "REDIRECT_URL": provider.redirect_url,
        "ROLES": ROLES,
    } | settings
    read = load_settings({f"TEXT2SONG_OIDC_{name}": value for name, value in given.items()})
    update = {name: getattr(read, name) for name in type(read).model_fields if name.startswith("oidc_")}
    return replace(studio, settings=studio.settings.model_copy(update={**update, "require_login": True}))
