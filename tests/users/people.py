"""People for tests: real users with real keys, and what they own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datetime as dt
    import uuid

    import httpx2

    from tests.studios import Desk
    from text2song.actors import Actor
    from text2song.studio import Studio
    from text2song.users.ownership import Visibility


@dataclass(frozen=True)
class Person:
    """Somebody with a key."""

    actor: Actor
    key: str
    desk: Desk | None = None

    @property
    def id(self) -> uuid.UUID:
        assert self.actor.user_id is not None
        return self.actor.user_id

    def at(self, desk: Desk) -> Person:
        """In front of this desk, to ask there."""
        return replace(self, desk=desk)

    def ask(self, method: str, path: str, **request: Any) -> httpx2.Response:  # noqa: ANN401  # httpx2's own
        """A request with the key."""
        assert self.desk is not None
        headers = {"Authorization": f"Bearer {self.key}", **request.pop("headers", {})}
        return self.desk.client.request(method, path, headers=headers, **request)


def add_person(studio: Studio, name: str, *, role: str = "creator") -> Actor:
    """A user of this name, as an actor."""
    from text2song.actors import Actor, Role
    from text2song.users import service
    from text2song.users.schemas import UserIn

    with studio.work() as work:
        user = service.create(work, UserIn.model_validate({"name": name, "role": role}))
        return Actor(user.id, role=Role(role))


def add_key(
    studio: Studio, owner: Actor, *, scopes: list[str] | None = None, expires_at: dt.datetime | None = None
) -> str:
    """The secret of a new key of theirs."""
    from text2song.users import keys
    from text2song.users.schemas import KeyIn

    asked = {"name": "test", "scopes": scopes, "expires_at": expires_at, "user_id": owner.user_id}
    with studio.work() as work:
        return keys.create(work, KeyIn.model_validate(asked))[1]


def add_person_with_key(studio: Studio, name: str, *, role: str = "creator") -> Person:
    """Somebody who can log in."""
    actor = add_person(studio, name, role=role)
    return Person(actor, add_key(studio, actor))


def add_prompts(
    studio: Studio, owner: Actor, *, visibility: Visibility, text: str = "x", number: int = 1
) -> None:
    """Prompts of theirs, one newer than the other."""
    from tests.studios import START
    from text2song.db.base import new_id
    from text2song.prompts.tables import Prompt

    with studio.work() as work:
        work.session.add_all(
            Prompt(
                id=new_id(),
                text=text,
                attributes={},
                words=text,
                created_at=START,
                user_id=owner.user_id,
                visibility=visibility,
            )
            for _ in range(number)
        )
