"""Looking after people: adding, changing and deactivating them. Each act is noted in the audit."""

import uuid
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from text2song.actors import Role
from text2song.errors import Conflict
from text2song.music.attributes import clean_text
from text2song.studio import Work
from text2song.users import audit, keys, queries, sessions
from text2song.users.schemas import NAME_LIMIT, UserIn, UserPatch
from text2song.users.tables import User

_STORED: Final = ("role", "is_expert", "max_queued_jobs", "max_minutes_a_day", "max_storage_bytes")


def create(work: Work, body: UserIn) -> User:
    """Add a person, who has no key yet.

    Raises:
        Conflict: when somebody has that name, in capitals or not.
    """
    name = clean_text(body.name, name="name", limit=NAME_LIMIT)
    if (other := queries.named(work, name)) is not None:
        raise _taken(other.name)
    stored = {column: getattr(body, column) for column in _STORED}
    user = User(name=name, created_at=work.clock(), **stored)
    work.session.add(user)
    try:
        work.session.flush()
    except IntegrityError as error:  # somebody else was faster by a moment
        raise _taken(name) from error
    audit.note(work, "user.create", user.id, details={"role": user.role, "is_expert": user.is_expert})
    return user


def change(work: Work, user_id: uuid.UUID, body: UserPatch) -> User:
    """Change what the body names. Whoever is deactivated loses all keys and sessions, for good.

    Raises:
        NotFound: when there is nobody with that id.
        Conflict: when no admin would be left.
    """
    user = queries.get(work, user_id)
    wanted = {name: getattr(body, name) for name in body.model_fields_set}
    before = _told(user)
    is_active = wanted.pop("is_active", before["is_active"])
    stays_admin = wanted.get("role", user.role) == Role.ADMIN and is_active
    if before["role"] == Role.ADMIN and before["is_active"] and not stays_admin:
        _require_another_admin(work, user)
    for name, value in wanted.items():
        setattr(user, name, value)
    if not is_active and user.deactivated_at is None:
        user.deactivated_at = work.clock()
        keys.revoke_all(work, user.id)
        sessions.end_all(work, user.id)
    elif is_active:
        user.deactivated_at = None
    work.session.flush()
    if changes := _changes(before, _told(user)):
        audit.note(work, "user.change", user.id, details=changes)
    return user


def _taken(name: str) -> Conflict:
    return Conflict(f"there is a user {name} already: choose another name.", field="name")


def _told(user: User) -> dict[str, Any]:
    stored = {name: getattr(user, name) for name in _STORED}
    return {**stored, "is_active": user.deactivated_at is None}


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """For each that changed: from what to what."""
    return {name: [before[name], after[name]] for name in before if before[name] != after[name]}


def _require_another_admin(work: Work, user: User) -> None:
    """The rows are locked, or two admins could each demote the other at the same time."""
    admins = select(User.id).where(User.role == Role.ADMIN, User.deactivated_at.is_(None))
    if set(work.session.scalars(admins.with_for_update())) <= {user.id}:
        raise Conflict(f"{user.name} is the only admin: make somebody else one first.", field="role")
