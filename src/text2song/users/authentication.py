"""From a key or a session's token to the person behind it.

Nothing is remembered between two requests: what was revoked, expired or deactivated opens no door
from that moment on, in every process.
"""

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy import or_, select, update

from text2song.actors import EVERYTHING, NOBODY, Actor, Permission, Role
from text2song.errors import NotLoggedIn, StudioError
from text2song.studio import Reader, Studio
from text2song.users.secrets import csrf_token_of, digest_of, is_same
from text2song.users.tables import ApiKey, LoginSession, User

USE_NOTED_EVERY: Final = dt.timedelta(minutes=1)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is, and by what they showed it."""

    actor: Actor
    key_id: uuid.UUID | None = None
    """Of the key that was sent."""
    is_use_unnoted: bool = False
    """Whether the key's last use is a minute old."""
    session_id: uuid.UUID | None = None
    csrf_token: str | None = None
    """What a page must send beside the session's cookie to change anything."""


WHOEVER_HAS_THE_MACHINE: Final = Identity(NOBODY)


def by_key(reader: Reader, key: str) -> Identity:
    """The owner of a key.

    Raises:
        NotLoggedIn: it is not one of ours, or no longer good.
    """
    digest = digest_of(key)
    query = select(ApiKey, User).join(User, User.id == ApiKey.user_id).where(ApiKey.digest == digest)
    row = reader.session.execute(query).first()
    if row is None or not is_same(row[0].digest, digest):
        raise NotLoggedIn("this key is not one of this studio: check that it was copied whole.")
    stored, user = row[0], row[1]
    now = reader.clock()
    _require_good(stored, user, now=now)
    used_at = stored.last_used_at
    return Identity(
        _actor(user, stored.scopes),
        key_id=stored.id,
        is_use_unnoted=used_at is None or used_at <= now - USE_NOTED_EVERY,
    )


def by_session(reader: Reader, token: str) -> Identity:
    """Whoever was signed in with this token.

    Raises:
        NotLoggedIn: the session is unknown or over, or the key is no longer good that began it.
    """
    digest = digest_of(token)
    query = (
        select(LoginSession, User, ApiKey)
        .join(User, User.id == LoginSession.user_id)
        .outerjoin(ApiKey, ApiKey.id == LoginSession.key_id)
        .where(LoginSession.digest == digest)
    )
    row = reader.session.execute(query).first()
    if row is None or not is_same(row[0].digest, digest):
        raise NotLoggedIn("this session is not known here: sign in again.")
    session, user = row[0], row[1]
    key: ApiKey | None = row[2]  # an outer join: there may be none
    now = reader.clock()
    if session.revoked_at is not None or session.expires_at <= now:
        raise NotLoggedIn("this session is over: sign in again.")
    _require_good(key, user, now=now)
    return Identity(
        _actor(user, key.scopes if key else None), session_id=session.id, csrf_token=csrf_token_of(token)
    )


def without_login(reader: Reader) -> Identity | None:
    """Who it must be where only one person can be meant; None where there are several.

    That person has the machine, and with it everything on it, so here they are an admin, whatever their role.
    """
    active = select(User).where(User.deactivated_at.is_(None)).limit(2)
    users = reader.session.scalars(active).all()
    match users:
        case []:
            return WHOEVER_HAS_THE_MACHINE
        case [user]:
            return Identity(Actor(user.id, role=Role.ADMIN, is_expert=user.is_expert))
    return None


def has_users(reader: Reader) -> bool:
    """Whether there ever was a user."""
    return reader.session.scalar(select(User.id).limit(1)) is not None


def note_use(studio: Studio, key_id: uuid.UUID) -> None:
    """Write down that a key was used, at most once a minute. No request fails or waits for it."""
    try:
        with studio.work() as work:
            now = work.clock()
            is_old = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at <= now - USE_NOTED_EVERY)
            work.session.execute(update(ApiKey).where(ApiKey.id == key_id, is_old).values(last_used_at=now))
    except StudioError as error:
        log.warning("a key's use was not noted", key_id=str(key_id), code=error.code)


def _require_good(key: ApiKey | None, user: User, *, now: dt.datetime) -> None:
    if user.deactivated_at is not None:
        raise NotLoggedIn("this account is deactivated: ask an admin of this studio.")
    if key is not None and key.revoked_at is not None:
        raise NotLoggedIn("this key was revoked: use another one, or ask an admin of this studio.")
    if key is not None and key.expires_at is not None and key.expires_at <= now:
        raise NotLoggedIn("this key has expired: use another one, or ask an admin of this studio.")


def _actor(user: User, scopes: list[str] | None) -> Actor:
    allowed = EVERYTHING if scopes is None else frozenset(map(Permission, scopes))
    return Actor(user.id, role=Role(user.role), is_expert=user.is_expert, scopes=allowed)
