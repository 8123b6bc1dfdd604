"""An OpenID Connect provider: what is asked of it, and what of its answers is believed.

The authorization code flow with PKCE (OpenID Connect Core 1.0, section 3.1; RFC 7636), by Authlib. A token
is believed if a key of the provider's has signed it, for this studio, for this very attempt, a moment ago.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpx2
import structlog

from text2song.db.clock import Clock
from text2song.errors import MissingPart, NotLoggedIn, Unavailable
from text2song.names import INSTALLING
from text2song.settings import Settings
from text2song.users.identities import Claimed
from text2song.users.secrets import word_from

if TYPE_CHECKING:
    from joserfc.jwt import Token

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
"""Signatures that only the provider can make: none of a shared secret, and not none."""
ANSWER_SECONDS: Final = 5.0
KEEP_SECONDS: Final = 600
"""How long what it says of itself is believed; for a key that is not among its keys it is asked at once."""
PATIENCE_SECONDS: Final = 1.0
"""For another thread that asks already: whoever cannot sign in must not keep the others from working."""
PAUSE_SECONDS: Final = 10
"""Before a provider that did not answer is asked again."""
CLOCKS_APART_SECONDS: Final = 60
SUBJECT_LETTERS: Final = 255
"""OpenID Connect Core 1.0, section 2."""
_SIGN_IN_AGAIN: Final = "sign in again, from the beginning."

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to sign in. All its words follow from one secret, which the browser keeps as a cookie."""

    secret: str

    @property
    def state(self) -> str:
        """Comes back with the browser: who sends it has begun this attempt."""
        return word_from(self.secret, "state")

    @property
    def nonce(self) -> str:
        """Comes back in the token: it was made for this attempt."""
        return word_from(self.secret, "nonce")

    @property
    def verifier(self) -> str:
        """Told to the provider in the end: the code is of no use to anybody else."""
        return word_from(self.secret, "verifier")


@dataclass(frozen=True, slots=True)
class _Told:
    """What the provider says of itself (OpenID Connect Discovery 1.0)."""

    places: Mapping[str, Any]
    keys: Mapping[str, Any]
    at: float


class Provider:
    """The provider that the settings name."""

    def __init__(self, settings: Settings, *, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._told: _Told | None = None
        self._failed_at: float | None = None

    def way(self, attempt: Attempt) -> str:
        """Where the browser goes to sign in.

        Raises:
            Unavailable: the provider does not answer.
        """
        from authlib.oauth2.rfc6749.parameters import prepare_grant_uri  # noqa: PLC0415  # an extra
        from authlib.oauth2.rfc7636 import create_s256_code_challenge  # noqa: PLC0415  # an extra

        uri: str = prepare_grant_uri(
            self._about().places["authorization_endpoint"],
            client_id=self._settings.oidc_client_id,
            response_type="code",
            redirect_uri=self._settings.oidc_redirect_url,
            scope=self._settings.oidc_scope,
            state=attempt.state,
            nonce=attempt.nonce,
            code_challenge=create_s256_code_challenge(attempt.verifier),
            code_challenge_method="S256",
        )
        return uri

    def redeem(self, code: str, attempt: Attempt) -> Claimed:
        """Who has signed in there.

        Raises:
            NotLoggedIn: the provider does not take the code, or its token cannot be believed.
            Unavailable: the provider does not answer.
        """
        tokens = self._exchange(code, attempt)
        claims = self._believed(tokens, attempt)
        if self._settings.oidc_claim not in claims:
            claims = {**self._told_of(tokens, str(claims["sub"])), **claims}
        name = next((claims[key] for key in ("name", "preferred_username", "email") if claims.get(key)), "")
        return Claimed(
            issuer=self._settings.oidc_issuer,
            subject=str(claims["sub"]),
            name=str(name),
            values=_values(claims, self._settings.oidc_claim),
        )

    def _exchange(self, code: str, attempt: Attempt) -> dict[str, Any]:
        from authlib.oauth2.auth import ClientAuth  # noqa: PLC0415  # an extra
        from authlib.oauth2.rfc6749.parameters import prepare_token_request  # noqa: PLC0415  # an extra

        places, settings = self._about().places, self._settings
        secret = settings.oidc_client_secret
        known = places.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        by = "client_secret_basic" if "client_secret_basic" in known else "client_secret_post"
        body = prepare_token_request(
            "authorization_code",
            code=code,
            redirect_uri=settings.oidc_redirect_url,
            code_verifier=attempt.verifier,
        )
        auth = ClientAuth(
            settings.oidc_client_id, secret.get_secret_value() if secret else None, by if secret else "none"
        )
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        url, headers, body = auth.prepare("POST", places["token_endpoint"], headers, body)
        answer = _ask("POST", url, headers=headers, content=body)
        if answer.is_client_error:
            log.warning("the provider refused a code", status=answer.status_code)
            raise NotLoggedIn(f"the provider did not confirm it: {_SIGN_IN_AGAIN}")
        return _object(answer)

    def _believed(self, tokens: Mapping[str, Any], attempt: Attempt) -> dict[str, Any]:
        """The claims of the token (OpenID Connect Core 1.0, section 3.1.3.7)."""
        from authlib.oidc.core import CodeIDToken  # noqa: PLC0415  # an extra
        from joserfc.errors import JoseError  # noqa: PLC0415  # an extra

        try:
            token = self._decoded(str(tokens.get("id_token", "")))
            expected = {
                "iss": {"essential": True, "value": self._settings.oidc_issuer},
                "aud": {"essential": True, "value": self._settings.oidc_client_id},
            }
            about = {
                "nonce": attempt.nonce,
                "client_id": self._settings.oidc_client_id,
                "access_token": tokens.get("access_token"),
            }
            claims = CodeIDToken(token.claims, token.header, expected, about)
            claims.validate(now=int(self._clock().timestamp()), leeway=CLOCKS_APART_SECONDS)
            _require_subject(claims)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            log.warning("a token of the provider is not believed", error=type(error).__name__)
            raise NotLoggedIn(f"what the provider says cannot be believed: {_SIGN_IN_AGAIN}") from error
        return dict(claims)

    def _decoded(self, text: str) -> "Token":
        from joserfc import jwt  # noqa: PLC0415  # an extra
        from joserfc.errors import InvalidKeyIdError  # noqa: PLC0415  # an extra
        from joserfc.jwk import KeySet  # noqa: PLC0415  # an extra
        from joserfc.jws import JWSRegistry  # noqa: PLC0415  # an extra

        registry = JWSRegistry(algorithms=list(ALGORITHMS), strict_check_header=False)

        def decode(about: _Told) -> "Token":
            keys = KeySet.import_key_set(about.keys)  # type: ignore[arg-type]  # JSON of somebody else
            return jwt.decode(text, keys, registry=registry)

        about = self._about()
        try:
            return decode(about)
        except InvalidKeyIdError:  # the provider may have a new key
            return decode(self._about(than=about))

    def _told_of(self, tokens: Mapping[str, Any], subject: str) -> dict[str, Any]:
        """What the provider tells of the same person elsewhere than in the token, if it does."""
        place = self._about().places.get("userinfo_endpoint")
        if not place:
            return {}
        headers = {"Authorization": f"Bearer {tokens.get('access_token', '')}"}
        answer = _ask("GET", place, headers=headers)
        told = _object(answer) if answer.is_success else {}
        return told if told.get("sub") == subject else {}

    def _about(self, *, than: _Told | None = None) -> _Told:
        """What it says of itself: as of some minutes ago, or newer `than` that."""
        if not self._lock.acquire(timeout=PATIENCE_SECONDS):
            raise Unavailable("the provider for signing in is slow to answer: try again in a minute.")
        try:
            now = self._clock().timestamp()
            told = self._told
            if told is None or told is than or abs(now - told.at) > KEEP_SECONDS:  # clocks are set back, too
                self._told = told = self._discovered_again(at=now)
            return told
        finally:
            self._lock.release()

    def _discovered_again(self, *, at: float) -> _Told:
        if self._failed_at is not None and abs(at - self._failed_at) < PAUSE_SECONDS:
            raise Unavailable("the provider for signing in did not answer a moment ago: try again soon.")
        try:
            told = self._discovered(at=at)
        except Unavailable:
            self._failed_at = at
            raise
        self._failed_at = None
        return told

    def _discovered(self, *, at: float) -> _Told:
        issuer = self._settings.oidc_issuer
        places = _object(_ask("GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration"))
        if places.get("issuer") != issuer:
            log.error("the provider has another name than in the settings", error=places.get("issuer"))
            raise Unavailable("the provider for signing in is not the one that was set up: tell an admin.")
        needed = {"authorization_endpoint", "token_endpoint", "jwks_uri"}
        for name in sorted(needed | ({"userinfo_endpoint"} & places.keys())):
            if urlsplit(str(places.get(name))).scheme not in {"https", urlsplit(issuer).scheme}:
                log.error("the provider names no safe place", error=name)
                raise Unavailable("the provider for signing in is not set up well: tell an admin.")
        return _Told(places, _object(_ask("GET", places["jwks_uri"])), at)


def open_provider(settings: Settings, *, clock: Clock) -> Provider | None:
    """The provider, if there is one; it is asked when somebody wants to sign in.

    Raises:
        MissingPart: Authlib is not installed.
    """
    if not settings.oidc_issuer:
        return None
    try:
        import authlib  # noqa: F401, PLC0415  # an extra
    except ModuleNotFoundError as error:
        raise MissingPart(
            f"TEXT2SONG_OIDC_ISSUER needs Authlib, which is not installed: {INSTALLING.format(extra='oidc')}."
        ) from error
    return Provider(settings, clock=clock)


def _ask(
    method: str, url: str, *, headers: Mapping[str, str] | None = None, content: str | None = None
) -> httpx2.Response:
    try:
        with httpx2.Client(timeout=ANSWER_SECONDS, follow_redirects=False) as client:
            answer = client.request(method, url, headers=headers, content=content)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        log.warning("the provider does not answer", error=type(error).__name__)
        raise Unavailable("the provider for signing in does not answer: try again in a minute.") from error
    if answer.is_server_error or answer.is_redirect:
        log.warning("the provider answers with an error", status=answer.status_code)
        raise Unavailable("the provider for signing in is out of order: try again in a minute.")
    return answer


def _object(answer: httpx2.Response) -> dict[str, Any]:
    try:
        told = answer.json()
    except ValueError:
        told = None
    if not isinstance(told, dict):
        log.warning("the provider answers with nonsense", status=answer.status_code)
        raise Unavailable("the provider for signing in answers with nonsense: tell an admin.")
    return told


def _require_subject(claims: Mapping[str, Any]) -> None:
    subject = claims["sub"]
    if not isinstance(subject, str) or not (subject.isascii() and subject.isprintable()):
        raise ValueError("the subject is no id")
    if not 0 < len(subject) <= SUBJECT_LETTERS:
        raise ValueError("the subject is too long for an id, or empty")


def _values(claims: Mapping[str, Any], name: str) -> frozenset[str]:
    """One value or several; an address only where the provider has verified it."""
    if name == "email" and claims.get("email_verified") is not True:
        return frozenset()
    told = claims.get(name, [])
    return frozenset(map(str, told if isinstance(told, list) else [told]))
