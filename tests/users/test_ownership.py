"""The rule against a slow reference: every row is looked at by itself."""

import random
import uuid
from dataclasses import replace

import pytest
from sqlalchemy import event, select

from tests.users.people import add_person, add_prompts
from text2song.actors import NOBODY, Actor, Permission
from text2song.errors import Forbidden
from text2song.prompts.tables import Prompt
from text2song.studio import Studio
from text2song.users.ownership import Visibility, is_own, is_visible, page, require_own

PRIVATE, SHARED = Visibility.PRIVATE, Visibility.SHARED


@pytest.fixture(name="people")
def make_people(studio: Studio) -> list[Actor]:
    """Two creators and an admin, whose prompts lie among each other; some are nobody's."""
    people = [add_person(studio, "Ada"), add_person(studio, "Bob"), add_person(studio, "Eve", role="admin")]
    draw = random.Random(7)
    for _ in range(60):
        owner = draw.choice([*people, NOBODY])
        add_prompts(studio, owner, visibility=draw.choice([PRIVATE, PRIVATE, SHARED]), text=draw.choice("xy"))
    return people


def by_looking_at_each(studio: Studio, actor: Actor, *, text: str | None = None) -> list[uuid.UUID]:
    with studio.read() as reader:
        prompts = reader.session.scalars(select(Prompt).order_by(Prompt.id.desc())).all()
    seen = [p for p in prompts if actor.sees_all or p.user_id == actor.user_id or p.visibility == "shared"]
    return [prompt.id for prompt in seen if text in {None, prompt.text}]


def by_pages(studio: Studio, actor: Actor, *, text: str | None = None, limit: int) -> list[uuid.UUID]:
    query = select(Prompt) if text is None else select(Prompt).where(Prompt.text == text)
    found, cursor = [], None
    while True:
        with studio.read(actor) as reader:
            part = page(reader, query, table=Prompt, cursor=cursor, limit=limit)
        assert len(part.rows) <= limit
        found += [prompt.id for prompt in part.rows]
        cursor = part.next_cursor
        if cursor is None:
            return found


@pytest.mark.parametrize("text", [None, "x"])
@pytest.mark.parametrize("limit", [1, 7, 200])
def test_pages_hold_what_is_seen_and_nothing_else(
    studio: Studio, people: list[Actor], limit: int, text: str | None
) -> None:
    limited = replace(people[2], scopes=frozenset({Permission.READ}))  # an admin's key that is no admin's
    for actor in (*people, NOBODY, limited):
        expected = by_looking_at_each(studio, actor, text=text)
        assert by_pages(studio, actor, text=text, limit=limit) == expected
        with studio.read(actor) as reader:
            ids = select(Prompt.id).where(is_visible(Prompt, actor)).order_by(Prompt.id.desc())
            ids = ids if text is None else ids.where(Prompt.text == text)
            assert list(reader.session.scalars(ids)) == expected
    ada, bob = (by_looking_at_each(studio, each) for each in people[:2])
    assert set(ada) - set(bob)
    assert set(bob) - set(ada)
    assert len(by_looking_at_each(studio, people[2])) == 60


def test_only_the_owner_and_admins_change_a_row(people: list[Actor]) -> None:
    ada, bob, eve = people
    theirs = Prompt(text="x", attributes={}, words="x", user_id=ada.user_id, visibility=SHARED)
    nobodys = Prompt(text="x", attributes={}, words="x", user_id=None, visibility=SHARED)
    assert [is_own(theirs, actor) for actor in (ada, bob, eve, NOBODY)] == [True, False, True, True]
    assert [is_own(nobodys, actor) for actor in (ada, bob, eve, NOBODY)] == [False, False, True, True]
    assert not is_own(nobodys, Actor())  # whoever has no id owns nothing by it
    require_own(theirs, ada)
    with pytest.raises(Forbidden, match="shared with you, and not yours"):
        require_own(theirs, bob)


def test_a_page_reads_no_rows_of_others_on_its_way(studio: Studio, people: list[Actor]) -> None:
    statements: list[tuple[str, object]] = []
    with studio.read(people[0]) as reader:
        connection = reader.session.connection()

        @event.listens_for(connection, "before_cursor_execute")
        def listen(*said: object) -> None:
            statements.append((str(said[2]), said[3]))

        page(reader, select(Prompt), table=Prompt, cursor=None, limit=5)
        (statement, values) = statements[0]
        event.remove(connection, "before_cursor_execute", listen)
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()  # type: ignore[arg-type]
    steps = [row[3] for row in plan]
    assert not [step for step in steps if step.startswith("SCAN prompts")], steps
    assert any("ix_prompts_user_id_id (user_id=?)" in step for step in steps)
    assert any("ix_prompts_visibility_id (visibility=?)" in step for step in steps)
