"""Making and revoking keys. The secret is told once, by `create`; only its digest is kept."""

import uuid
from typing import Final

from sqlalchemy import func, select, update

from text2song.actors import EVERYTHING, Actor
from text2song.errors import Conflict, Forbidden, InvalidInput
from text2song.studio import Work
from text2song.users import audit, queries
from text2song.users.schemas import KeyIn
from text2song.users.secrets import SHOWN_LETTERS, digest_of, new_key
from text2song.users.tables import ApiKey, User

KEYS_LIMIT: Final = 100
"""Of one person, not counting those that were revoked."""


def create(work: Work, body: KeyIn) -> tuple[ApiKey, str]:
    """A key for whoever asks, or for whom an admin names; and its secret.

    Raises:
        NotFound: when there is nobody with that id.
        Forbidden: the key that asks is limited, or the new one would be somebody else's.
        InvalidInput: it would have expired already.
        Conflict: there is nobody whose it could be, or that person has too many.
    """
    _require_whole_key(work.actor)
    owner = _owner(work, body.user_id)
    now = work.clock()
    if body.expires_at is not None and body.expires_at <= now:
        raise InvalidInput(
            "expires_at lies in the past: leave it out, or say a later time.", field="expires_at"
        )
    _require_room(work, owner)
    secret = new_key()
    key = ApiKey(
        user_id=owner.id,
        name=body.name,
        digest=digest_of(secret),
        first_letters=secret[:SHOWN_LETTERS],
        scopes=sorted(set(body.scopes)) if body.scopes is not None else None,
        created_at=now,
        expires_at=body.expires_at,
    )
    work.session.add(key)
    work.session.flush()
    audit.note(work, "key.create", key.id, details={"owner": str(owner.id), "scopes": key.scopes})
    return key, secret


def revoke(work: Work, key_id: uuid.UUID) -> None:
    """End a key and the sessions that it began, at once; a second time changes nothing.

    Raises:
        NotFound: when there is none, or it is somebody else's.
        Forbidden: the key that asks is limited.
    """
    _require_whole_key(work.actor)
    key = queries.get_key(work, key_id)
    if key.revoked_at is None:
        key.revoked_at = work.clock()
        audit.note(work, "key.revoke", key.id, details={"owner": str(key.user_id)})


def revoke_all(work: Work, user_id: uuid.UUID) -> None:
    """End every key of one person."""
    alive = (ApiKey.user_id == user_id) & ApiKey.revoked_at.is_(None)
    work.session.execute(update(ApiKey).where(alive).values(revoked_at=work.clock()))


def _owner(work: Work, user_id: uuid.UUID | None) -> User:
    if user_id is not None and user_id != work.actor.user_id and not work.actor.sees_all:
        raise Forbidden("only admins make keys for others: leave out user_id for a key of your own.")
    whose = user_id or work.actor.user_id
    if whose is None:
        raise Conflict(
            "a key belongs to somebody: say whose, by user_id. The first user is made by "
            "`text2song user add NAME --admin`.",
            field="user_id",
        )
    owner = queries.get(work, whose)
    if owner.deactivated_at is not None:
        raise Conflict(f"{owner.name} is deactivated, so a key would be good for nothing.", field="user_id")
    return owner


def _require_whole_key(actor: Actor) -> None:
    """Else whoever finds a limited key could make one that lives on when it is revoked."""
    if actor.scopes != EVERYTHING:
        raise Forbidden(
            "a key that is limited to some scopes neither makes nor revokes keys: use a whole one."
        )


def _require_room(work: Work, owner: User) -> None:
    alive = select(func.count()).where(ApiKey.user_id == owner.id, ApiKey.revoked_at.is_(None))
    if (work.session.scalar(alive) or 0) >= KEYS_LIMIT:
        raise Conflict(f"{owner.name} has {KEYS_LIMIT} keys: revoke those that nobody uses.")
