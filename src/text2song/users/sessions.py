"""Browsers that are signed in. A session ends by itself, by signing out, or with the key that began it."""

import datetime as dt
import uuid
from typing import Final

from sqlalchemy import ColumnElement, delete, update

from text2song.errors import NotLoggedIn
from text2song.studio import Work
from text2song.users.authentication import Identity
from text2song.users.secrets import digest_of, new_token
from text2song.users.tables import LoginSession

LIFETIME: Final = dt.timedelta(days=14)


def begin(work: Work, shown: Identity, *, lifetime: dt.timedelta = LIFETIME) -> str:
    """Sign somebody in; answers the token for the cookie. Their sessions that are over go."""
    now = work.clock()
    user_id = shown.actor.user_id
    if user_id is None:
        raise NotLoggedIn("a session belongs to somebody: sign in with a key.")
    over = (LoginSession.user_id == user_id) & (LoginSession.expires_at <= now)
    work.session.execute(delete(LoginSession).where(over))
    token = new_token()
    session = LoginSession(
        user_id=user_id,
        key_id=shown.key_id,
        digest=digest_of(token),
        created_at=now,
        expires_at=now + lifetime,
    )
    work.session.add(session)
    work.session.flush()
    return token


def end(work: Work, session_id: uuid.UUID) -> None:
    """Sign out."""
    _end(work, LoginSession.id == session_id)


def end_all(work: Work, user_id: uuid.UUID) -> None:
    """Sign one person out everywhere."""
    _end(work, LoginSession.user_id == user_id)


def _end(work: Work, which: ColumnElement[bool]) -> None:
    still_open = update(LoginSession).where(which, LoginSession.revoked_at.is_(None))
    work.session.execute(still_open.values(revoked_at=work.clock()))
