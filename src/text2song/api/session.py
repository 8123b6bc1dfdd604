"""`/session`: a browser signs in with a key and gets a cookie, so that no page ever keeps the key.

The cookie's flags say what the browser may do with it:

* `HttpOnly`: no script reads it.
* `Secure` wherever the pages come by https: it never travels in the clear.
* `SameSite=Strict`: pages of other sites cannot have it sent. Where the studio's own page lives on another
  site (the browser itself says so, by `Sec-Fetch-Site`), that would leave the cookie out always, so it is
  `None` there, and the CSRF token and the check of the Origin do the work.
"""

from typing import Final, Literal

from fastapi import APIRouter, Request, Response, status

from text2song.actors import Permission
from text2song.api.login import SESSION_COOKIE, Login
from text2song.studio import Reader, Studio
from text2song.units import AccountWorkUnit, ReaderUnit, StudioUnit
from text2song.users import authentication, queries, sessions
from text2song.users.authentication import Identity
from text2song.users.endpoints import NOT_KEPT
from text2song.users.schemas import SessionIn, SessionOut
from text2song.wire import problem_responses

router = APIRouter(prefix="/session", tags=["people"])

_LIFETIME_SECONDS: Final = int(sessions.LIFETIME.total_seconds())


@router.post("", responses=problem_responses(401, 422, 429))
def sign_in(body: SessionIn, request: Request, response: Response, studio: StudioUnit) -> SessionOut:
    """Sign this browser in with a key. The answer sets a cookie, and tells the CSRF token to go with it."""
    login: Login = request.app.state.login
    with studio.read() as reader:  # nobody without a good key comes as far as the write lock
        shown = login.by_typed_key(request, reader, body.key)
        is_required = login.without_login(request, reader) is None
    with studio.work(shown.actor) as work:
        token = sessions.begin(work, shown)
        identity = authentication.by_session(work, token)
        answer = _describe(work, identity, is_login_required=is_required)
    write_cookie(
        request,
        response,
        token,
        lifetime_seconds=_LIFETIME_SECONDS,
        is_elsewhere=is_of_another_site(request),
    )
    return answer


@router.get("", responses=problem_responses(401))
def read_session(request: Request, reader: ReaderUnit, response: Response) -> SessionOut:
    """Who asks, what they may do, and the CSRF token. 401 where somebody has to log in."""
    login: Login = request.app.state.login
    response.headers.update(NOT_KEPT)
    is_required = login.without_login(request, reader) is None
    return _describe(reader, request.state.identity, is_login_required=is_required)


@router.delete("", status_code=status.HTTP_204_NO_CONTENT, responses=problem_responses(401, 403))
def sign_out(request: Request, work: AccountWorkUnit, response: Response) -> None:
    """End this browser's session. A key stays as good as it is: `DELETE /keys/{id}` ends it."""
    identity: Identity = request.state.identity
    if identity.session_id is not None:
        sessions.end(work, identity.session_id)
    write_cookie(request, response, "", lifetime_seconds=0, is_elsewhere=is_of_another_site(request))


def _describe(reader: Reader, identity: Identity, *, is_login_required: bool) -> SessionOut:
    actor = identity.actor
    user = queries.get(reader, actor.user_id) if actor.user_id else None
    return SessionOut(
        user=queries.describe(user) if user else None,
        permissions=[each.value for each in sorted(Permission) if actor.may(each)],
        csrf_token=identity.csrf_token,
        is_login_required=is_login_required,
    )


def is_of_another_site(request: Request) -> bool:
    """Whether the browser itself says that another site's page asks."""
    return request.headers.get("sec-fetch-site") == "cross-site"


def write_cookie(
    request: Request, response: Response, token: str, *, lifetime_seconds: int, is_elsewhere: bool
) -> None:
    """Set the session's cookie, for a studio whose own page `is_elsewhere` or here."""
    studio: Studio = request.app.state.studio
    is_encrypted = request.url.scheme == "https" or any(
        place.startswith("https:")
        for place in (*studio.settings.web_origin, studio.settings.oidc_redirect_url)
    )
    same_site: Literal["none", "strict"] = "none" if is_elsewhere else "strict"
    response.headers.update(NOT_KEPT)
    response.set_cookie(
        SESSION_COOKIE,
        token,
        max_age=lifetime_seconds,
        path="/",
        secure=is_encrypted or is_elsewhere,  # browsers take no SameSite=None without it
        httponly=True,
        samesite=same_site,
    )
