"""Who asks: the one place where a request becomes a person.

A key in `Authorization: Bearer`, or a browser's session cookie, says so. Nothing is asked for only
where nobody else can be meant: the server listens on loopback, no proxy passed the request on, and
there is at most one person (see docs/decisions/0010).
"""

from dataclasses import dataclass
from typing import Final

from fastapi import BackgroundTasks, Request

from text2song.actors import Actor
from text2song.api.callers import address_of, is_from_here
from text2song.api.limits import Limits
from text2song.errors import CsrfFailed, NotLoggedIn
from text2song.studio import Reader, Studio
from text2song.users import authentication
from text2song.users.authentication import Identity
from text2song.users.secrets import is_same

SESSION_COOKIE: Final = "text2song_session"
CSRF_HEADER: Final = "X-CSRF-Token"
_READS: Final = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Login:
    """The rule, for one server."""

    studio: Studio
    limits: Limits
    is_public: bool
    """Whether the server can be reached from other machines."""

    def identify(self, request: Request, reader: Reader, afterwards: BackgroundTasks) -> Actor:
        """Implements `units.Identify`; leaves the whole identity in `request.state.identity`.

        Raises:
            NotLoggedIn: for a stranger, and for a key or a session that is not good.
            CsrfFailed: when a cookie alone would change something.
            TooManyRequests: from this person, or with wrong keys from this address.
        """
        shown = self._by_key(request, reader) or self._by_cookie(request, reader)
        if shown is not None:
            self._count(request, shown)
        identity = shown or self.without_login(request, reader)
        if identity is None:
            raise NotLoggedIn(
                "log in first: send your key in the header `Authorization: Bearer t2s_...`, or sign the "
                "browser in with it (POST /session)."
            )
        request.state.identity = identity
        if identity.key_id is not None and identity.is_use_unnoted:
            afterwards.add_task(authentication.note_use, self.studio, identity.key_id)
        return identity.actor

    def without_login(self, request: Request, reader: Reader) -> Identity | None:
        """Who it must be without being asked; None where that cannot be said."""
        is_asked = self.is_public or self.studio.settings.require_login
        if is_asked or not is_from_here(request):
            return None
        return authentication.without_login(reader)

    def by_typed_key(self, request: Request, reader: Reader, key: str) -> Identity:
        """Whose key was typed into the form.

        Raises:
            NotLoggedIn: it is not good.
            TooManyRequests: too many attempts failed from this address, or this person asks too often.
        """
        address = address_of(request)
        self.limits.require_patience(address)
        try:
            identity = authentication.by_key(reader, key.strip())
        except NotLoggedIn:
            self.limits.count_failed_sign_in(address)
            raise
        self._count(request, identity)  # each sign-in is a row that is kept for days
        return identity

    def _by_key(self, request: Request, reader: Reader) -> Identity | None:
        given = request.headers.getlist("authorization")
        if not given:
            return None
        scheme, _, key = given[0].partition(" ")
        if len(given) > 1 or scheme.lower() != "bearer" or not key.strip():
            raise NotLoggedIn("the Authorization header must be one `Bearer` and a key of this studio.")
        try:
            return authentication.by_key(reader, key.strip())
        except NotLoggedIn:
            self.limits.count_wrong_key(address_of(request))
            raise

    def _by_cookie(self, request: Request, reader: Reader) -> Identity | None:
        token = request.cookies.get(SESSION_COOKIE)
        if not token:
            return None
        try:
            identity = authentication.by_session(reader, token)
        except NotLoggedIn:
            if self.without_login(request, reader):
                return None  # the browser still has a cookie from the days when there were more people
            raise
        if request.method not in _READS:
            _require_csrf_token(request, identity)
        return identity

    def _count(self, request: Request, identity: Identity) -> None:
        """Once for each request, however many units it opens."""
        if not getattr(request.state, "is_counted", False):
            request.state.is_counted = True
            self.limits.count_request(str(identity.actor.user_id))


def _require_csrf_token(request: Request, identity: Identity) -> None:
    sent = request.headers.get(CSRF_HEADER, "")
    if identity.csrf_token is None or not is_same(sent, identity.csrf_token):
        raise CsrfFailed(
            f"a browser's session changes things only with the header {CSRF_HEADER}: GET /session tells "
            "the token. Nothing was changed."
        )
