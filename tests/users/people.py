"""People for tests, and what they own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from text2song.actors import Actor
    from text2song.studio import Studio
    from text2song.users.ownership import Visibility


def add_person(studio: Studio, name: str, *, role: str = "creator") -> Actor:
    """A user of this name, as an actor."""
    from tests.studios import START
    from text2song.actors import Actor, Role
    from text2song.users.tables import User

    with studio.work() as work:
        user = User(name=name, role=role, created_at=START)
        work.session.add(user)
        work.session.flush()
        return Actor(user.id, role=Role(role))


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
