"""What the `key` commands do, by the services that the API calls."""

import datetime as dt
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from text2song.actors import Permission
from text2song.cli.answer import Answer
from text2song.cli.opening import opened_studio, settings_for
from text2song.cli.user.people import body_of, named, one_of
from text2song.db.pages import MAX_LIMIT
from text2song.errors import InvalidInput, NotFound
from text2song.studio import Reader
from text2song.users import keys, queries
from text2song.users.schemas import KeyIn
from text2song.users.tables import ApiKey


def add(answer: Answer, *, owner: str, label: str, scopes: Sequence[str] | None, days: int | None) -> None:
    """Make a key for somebody.

    Raises:
        InvalidInput: a scope is none.
        NotFound: nobody has that name.
        Conflict: they are deactivated, or have too many keys.
    """
    chosen = [one_of(Permission, scope, option="--scope") for scope in scopes or ()]
    settings = settings_for(answer, is_service=False)
    with opened_studio(settings, answer=answer) as studio, studio.work() as work:
        user = named(work, owner)
        ends_at = work.clock() + dt.timedelta(days=days) if days is not None else None
        asked = {"name": label, "scopes": chosen or None, "expires_at": ends_at}
        body = body_of(KeyIn, {**asked, "user_id": user.id}, options={"name": "--for"})
        key, secret = keys.create(work, body)
        told = {"key": secret, **_told(key)}
    answer.notice(f"This is a key of {user.name}'s; it is told this once:")
    answer.give(told, text=secret)


def list_keys(answer: Answer, *, owner: str | None) -> None:
    """One person's keys, or everybody's, the oldest first.

    Raises:
        NotFound: nobody has that name.
    """
    settings = settings_for(answer, is_service=False)
    with opened_studio(settings, answer=answer) as studio, studio.read() as reader:
        whose = named(reader, owner).id if owner is not None else None
        names = {}
        rows = []
        for key in reversed(list(_all(reader, whose))):
            if key.user_id not in names:
                names[key.user_id] = queries.get(reader, key.user_id).name
            rows.append({"owner": names[key.user_id], **_told(key)})
    answer.give({"keys": rows}, text="\n".join(map(_line, rows)) or "There are no keys.")


def revoke(answer: Answer, *, which: str) -> None:
    """End the key with that id or those first letters.

    Raises:
        NotFound: there is none.
        InvalidInput: several begin so.
    """
    settings = settings_for(answer, is_service=False)
    with opened_studio(settings, answer=answer) as studio, studio.work() as work:
        key = _meant(work, which)
        keys.revoke(work, key.id)
        work.session.flush()
        told = _told(key)
    answer.give(told, text=f"Revoked {told['first_letters']}… ({told['name']}).")


def _meant(reader: Reader, which: str) -> ApiKey:
    found = [key for key in _all(reader, None) if which in {str(key.id), key.first_letters}]
    if not found:
        raise NotFound(
            f"no key is or begins with {which!r}. `text2song key list` shows those there are.", field="KEY"
        )
    if len(found) > 1:
        raise InvalidInput("several keys begin so: give the id of one.", field="KEY")
    return found[0]


def _all(reader: Reader, user_id: uuid.UUID | None) -> Iterator[ApiKey]:
    cursor = None
    while True:
        page = queries.find_keys(reader, user_id=user_id, cursor=cursor, limit=MAX_LIMIT)
        yield from page.rows
        cursor = page.next_cursor
        if cursor is None:
            return


def _told(key: ApiKey) -> dict[str, Any]:
    return queries.describe_key(key).model_dump(mode="json")


def _line(row: Mapping[str, Any]) -> str:
    scopes = ",".join(row["scopes"]) if row["scopes"] else "all"
    used = f"used {row['last_used_at'][:16]}" if row["last_used_at"] else "never used"
    ends = "revoked" if row["revoked_at"] else f"until {row['expires_at'][:10]}" if row["expires_at"] else ""
    line = f"{row['first_letters']:<14} {row['owner']:<20} {row['name']:<20} {scopes:<20} {used}  {ends}"
    return f"{line.rstrip()}\n  {row['id']}"
