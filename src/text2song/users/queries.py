"""Reading people and their keys."""

import uuid
from typing import Final

from sqlalchemy import select

from text2song.actors import Role
from text2song.db import rows
from text2song.db.pages import RowPage, newest_first
from text2song.studio import Reader
from text2song.users.schemas import AuditEntryOut, KeyOut, UserOut
from text2song.users.tables import ApiKey, AuditEntry, User, fold

_USERS: Final = rows.Place("user", "/users")
_KEYS: Final = rows.Place("key", "/keys")


def get(reader: Reader, user_id: uuid.UUID) -> User:
    """The person with that id.

    Raises:
        NotFound: when there is none.
    """
    return rows.get(reader.session, User, user_id, place=_USERS)


def find(reader: Reader, *, cursor: str | None, limit: int) -> RowPage[User]:
    """A page of people, newest first."""
    return newest_first(reader.session, select(User), by=User.id, cursor=cursor, limit=limit)


def named(reader: Reader, name: str) -> User | None:
    """The person of that name, in capitals or not; of two who had it before, the one who writes it so."""
    folded = fold(name)
    may_be = (User.folded_name == folded) | User.folded_name.is_(None)
    people = reader.session.scalars(select(User).where(may_be).order_by(User.id))
    of_that_name = [user for user in people if fold(user.name) == folded]
    return next((user for user in of_that_name if user.name == name), next(iter(of_that_name), None))


def get_key(reader: Reader, key_id: uuid.UUID) -> ApiKey:
    """The key with that id.

    Raises:
        NotFound: when there is none, or it is somebody else's.
    """
    actor = reader.actor
    place = _KEYS if actor.sees_all else rows.Place(_KEYS.noun, _KEYS.path, ApiKey.user_id == actor.user_id)
    return rows.get(reader.session, ApiKey, key_id, place=place)


def find_keys(
    reader: Reader, *, user_id: uuid.UUID | None, cursor: str | None, limit: int
) -> RowPage[ApiKey]:
    """A page of the keys of one person, newest first; where nobody is named and nobody logged in, of all."""
    whose = user_id or reader.actor.user_id
    query = rows.matching(select(ApiKey), {ApiKey.user_id: whose})
    return newest_first(reader.session, query, by=ApiKey.id, cursor=cursor, limit=limit)


def describe(user: User) -> UserOut:
    """The wire form."""
    return UserOut(
        id=user.id,
        name=user.name,
        role=Role(user.role).value,
        is_expert=user.is_expert,
        is_active=user.deactivated_at is None,
        max_queued_jobs=user.max_queued_jobs,
        max_minutes_a_day=user.max_minutes_a_day,
        max_storage_bytes=user.max_storage_bytes,
        created_at=user.created_at,
        deactivated_at=user.deactivated_at,
    )


def describe_key(key: ApiKey) -> KeyOut:
    """The wire form, without the secret."""
    return KeyOut.model_validate(
        {name: getattr(key, name) for name in KeyOut.model_fields},
    )


def describe_entry(entry: AuditEntry) -> AuditEntryOut:
    """The wire form."""
    return AuditEntryOut.model_validate(
        {name: getattr(entry, name) for name in AuditEntryOut.model_fields},
    )
