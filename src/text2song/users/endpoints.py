"""`/users`, `/keys` and `/audit`."""

from typing import Final

from fastapi import APIRouter, Response, status

from text2song.db.pages import DEFAULT_LIMIT
from text2song.errors import Forbidden
from text2song.units import AccountWorkUnit, AdminReaderUnit, AdminWorkUnit, ReaderUnit
from text2song.users import audit, keys, queries, service
from text2song.users.schemas import AuditEntryOut, KeyIn, KeyMade, KeyOut, UserIn, UserOut, UserPatch
from text2song.wire import Cursor, Id, Limit, Page, problem_responses

users_router = APIRouter(prefix="/users", tags=["people"])
keys_router = APIRouter(prefix="/keys", tags=["people"])
audit_router = APIRouter(prefix="/audit", tags=["people"])

NOT_KEPT: Final = {"Cache-Control": "no-store"}
"""For an answer that holds a secret."""


@users_router.get("", responses=problem_responses(400, 422))
def list_users(reader: AdminReaderUnit, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT) -> Page[UserOut]:
    """Everybody, newest first; for admins."""
    page = queries.find(reader, cursor=cursor, limit=limit)
    return Page(items=[queries.describe(user) for user in page.rows], next_cursor=page.next_cursor)


@users_router.post("", status_code=status.HTTP_201_CREATED, responses=problem_responses(409, 422))
def create_user(body: UserIn, work: AdminWorkUnit, response: Response) -> UserOut:
    """Add a person; for admins. They log in with a key: `POST /keys` makes one."""
    user = service.create(work, body)
    response.headers["Location"] = f"/users/{user.id}"
    return queries.describe(user)


@users_router.get("/{user_id}", responses=problem_responses(404, 422))
def get_user(user_id: Id, reader: AdminReaderUnit) -> UserOut:
    """One person; for admins. `GET /session` tells everybody of themselves."""
    return queries.describe(queries.get(reader, user_id))


@users_router.patch("/{user_id}", responses=problem_responses(404, 409, 422))
def change_user(user_id: Id, body: UserPatch, work: AdminWorkUnit) -> UserOut:
    """Change role, expertise or shares, or deactivate somebody; for admins. It holds at once."""
    return queries.describe(service.change(work, user_id, body))


@keys_router.get("", responses=problem_responses(400, 403, 422))
def list_keys(
    reader: ReaderUnit, user_id: Id | None = None, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Page[KeyOut]:
    """One's own keys, newest first; admins may ask for those of another. Secrets are never told again."""
    if user_id not in {None, reader.actor.user_id} and not reader.actor.sees_all:
        raise Forbidden("only admins see the keys of others: leave out user_id for your own.")
    page = queries.find_keys(reader, user_id=user_id, cursor=cursor, limit=limit)
    return Page(items=[queries.describe_key(key) for key in page.rows], next_cursor=page.next_cursor)


@keys_router.post("", status_code=status.HTTP_201_CREATED, responses=problem_responses(403, 404, 409, 422))
def create_key(body: KeyIn, work: AccountWorkUnit, response: Response) -> KeyMade:
    """Make a key. Its secret is in this answer and nowhere else."""
    key, secret = keys.create(work, body)
    response.headers.update(NOT_KEPT)
    return KeyMade(**dict(queries.describe_key(key)), key=secret)


@keys_router.delete(
    "/{key_id}", status_code=status.HTTP_204_NO_CONTENT, responses=problem_responses(403, 404, 422)
)
def revoke_key(key_id: Id, work: AccountWorkUnit) -> None:
    """Revoke a key, and end the sessions that it began, at once."""
    keys.revoke(work, key_id)


@audit_router.get("", responses=problem_responses(400, 422))
def list_audit(
    reader: AdminReaderUnit,
    subject_id: Id | None = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Page[AuditEntryOut]:
    """What admins and the command line did, newest first; for admins. `subject_id`: to one thing."""
    page = audit.find(reader, subject_id=subject_id, cursor=cursor, limit=limit)
    return Page(items=[queries.describe_entry(entry) for entry in page.rows], next_cursor=page.next_cursor)
