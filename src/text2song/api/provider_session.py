"""`/session/oidc`: a browser signs in by way of an OpenID Connect provider, and gets the cookie of a session.

These are pages for browsers, and no operations of the API: one leads to the provider, the other is where
the provider leads back to. They lead to one place in the end, so that no link can lead people elsewhere.
"""

from typing import Final

from fastapi import APIRouter, Request, status
from fastapi.responses import RedirectResponse

from text2song.api.callers import address_of
from text2song.api.login import Login
from text2song.api.provider import Attempt, Provider
from text2song.api.session import is_of_another_site, write_cookie
from text2song.errors import NotFound, NotLoggedIn
from text2song.settings import OIDC_CALLBACK
from text2song.units import StudioUnit
from text2song.users import identities, sessions
from text2song.users.endpoints import NOT_KEPT
from text2song.users.secrets import is_same, new_token

router = APIRouter(include_in_schema=False)

ATTEMPT_COOKIE: Final = "text2song_oidc"
ATTEMPT_SECONDS: Final = 600
_PATH: Final = OIDC_CALLBACK.rpartition("/")[0]
_ELSEWHERE: Final = "elsewhere."
"""Before the secret of an attempt that a page of another site has begun."""


@router.get(_PATH)
def go_to_provider(request: Request, studio: StudioUnit) -> RedirectResponse:
    """Lead the browser to the provider."""
    provider = _provider_of(request)
    secret = new_token()
    answer = RedirectResponse(
        provider.way(Attempt(secret)), status_code=status.HTTP_303_SEE_OTHER, headers=NOT_KEPT
    )
    answer.set_cookie(
        ATTEMPT_COOKIE,
        f"{_ELSEWHERE if is_of_another_site(request) else ''}{secret}",
        max_age=ATTEMPT_SECONDS,
        path=_PATH,
        secure=studio.settings.oidc_redirect_url.startswith("https:"),
        httponly=True,
        samesite="lax",  # the provider's page leads back here, and `strict` would leave it out then
    )
    return answer


@router.get(OIDC_CALLBACK)
def come_back(request: Request, studio: StudioUnit) -> RedirectResponse:
    """Sign in whom the provider sends back, if it was this browser that went there."""
    provider = _provider_of(request)
    login: Login = request.app.state.login
    address = address_of(request)
    login.limits.require_patience(address)
    kept = request.cookies.get(ATTEMPT_COOKIE, "")
    try:
        claimed = provider.redeem(_code(request, kept, issuer=studio.settings.oidc_issuer), _attempt(kept))
    except NotLoggedIn:
        login.limits.count_failed_sign_in(address)
        raise
    role = identities.role_of(claimed, studio.settings.oidc_roles)
    with studio.work() as work:
        token = sessions.begin(
            work, identities.sign_in(work, claimed, role=role), lifetime=identities.LIFETIME
        )
    home = f"{studio.settings.web_origin[0]}/" if studio.settings.web_origin else "/"
    answer = RedirectResponse(home, status_code=status.HTTP_303_SEE_OTHER)
    is_elsewhere = kept.startswith(_ELSEWHERE) and bool(studio.settings.web_origin)
    lifetime_seconds = int(identities.LIFETIME.total_seconds())
    write_cookie(request, answer, token, lifetime_seconds=lifetime_seconds, is_elsewhere=is_elsewhere)
    answer.delete_cookie(ATTEMPT_COOKIE, path=_PATH, httponly=True, samesite="lax")
    return answer


def _provider_of(request: Request) -> Provider:
    provider: Provider | None = request.app.state.provider
    if provider is None:
        raise NotFound("this studio has no provider to sign in with: use a key (POST /session).")
    return provider


def _attempt(kept: str) -> Attempt:
    return Attempt(kept.removeprefix(_ELSEWHERE))


def _code(request: Request, kept: str, *, issuer: str) -> str:
    """The code that came back with the browser that was sent."""
    query = request.query_params
    if not kept or not is_same(query.get("state", ""), _attempt(kept).state):
        raise NotLoggedIn("this browser did not begin to sign in, or ten minutes ago: begin anew.")
    if query.get("iss", issuer) != issuer:  # RFC 9207: another provider's answer
        raise NotLoggedIn("another provider has answered than was asked: begin anew.")
    if not query.get("code"):
        raise NotLoggedIn("the provider did not let you in: begin anew, or ask those who run it.")
    return query["code"]
