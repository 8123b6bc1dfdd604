"""Looking after people, with what the audit says of it afterwards."""

import threading
from typing import Any

import pytest

from tests.databases import outcome_of_second
from tests.studios import Clock
from tests.users.people import Person, add_person, add_person_with_key
from text2song.actors import NOBODY, Actor
from text2song.errors import Conflict, NotFound, NotLoggedIn
from text2song.studio import Studio, Work
from text2song.users import audit, authentication, queries, service
from text2song.users.schemas import UserIn, UserPatch
from text2song.users.tables import AuditEntry, User


def change(studio: Studio, actor: Actor, person: Person, **patch: Any) -> User:  # noqa: ANN401  # a body's fields
    with studio.work(actor) as work:
        return service.change(work, person.id, UserPatch.model_validate(patch))


def entries(studio: Studio) -> list[AuditEntry]:
    with studio.read() as reader:
        return audit.find(reader, subject_id=None, cursor=None, limit=200).rows


@pytest.fixture(name="eve")
def add_eve(studio: Studio) -> Person:
    return add_person_with_key(studio, "Eve", role="admin")


@pytest.fixture(name="ada")
def add_ada(studio: Studio) -> Person:
    return add_person_with_key(studio, "Ada")


def test_a_person_is_added_with_a_clean_name(studio: Studio) -> None:
    with studio.work() as work:
        user = service.create(work, UserIn(name="  Ada \n Lovelace ", is_expert=True, max_queued_jobs=5))
    assert (user.name, user.role, user.is_expert, user.max_queued_jobs) == (
        "Ada Lovelace",
        "creator",
        True,
        5,
    )
    (entry,) = entries(studio)
    assert (entry.act, entry.subject_id, entry.actor_id) == ("user.create", user.id, None)


def test_a_name_is_given_once(studio: Studio, ada: Person) -> None:
    del ada
    with pytest.raises(Conflict, match="a user Ada already") as refused:
        add_person(studio, " Ada ")
    assert refused.value.field == "name"


@pytest.mark.databases("sqlite", "postgresql")
@pytest.mark.parametrize(
    ("name", "others"),
    [("Ada", ["ada", "ADA"]), ("Zoë", ["ZOË", "zoe\u0308"]), ("Strauß", ["STRAUSS"]), ("Ωmega", ["ωMEGA"])],
)
def test_a_name_is_one_person_s_however_it_is_written(studio: Studio, name: str, others: list[str]) -> None:
    ada = add_person(studio, name)
    for other in others:
        with pytest.raises(Conflict, match=f"a user {name} already: choose another name"):
            add_person(studio, other)
        with studio.read() as reader:
            found = queries.named(reader, other)
        assert found is not None
        assert (found.id, found.name) == (ada.user_id, name)
    add_person(studio, "Zoe")  # a letter without its accent is another one


def test_only_what_is_named_changes_and_the_audit_says_from_what_to_what(
    studio: Studio, eve: Person, ada: Person
) -> None:
    user = change(studio, eve.actor, ada, role="rater", max_minutes_a_day=30)
    assert (user.role, user.max_minutes_a_day, user.is_expert) == ("rater", 30, False)
    user = change(studio, eve.actor, ada, is_expert=True)
    assert (user.role, user.max_minutes_a_day, user.is_expert) == ("rater", 30, True)
    user = change(studio, eve.actor, ada, max_minutes_a_day=None)
    assert user.max_minutes_a_day is None
    told = [(entry.actor_id, entry.details) for entry in entries(studio)[:3]]
    assert told == [
        (eve.id, {"max_minutes_a_day": [30, None]}),
        (eve.id, {"is_expert": [False, True]}),
        (eve.id, {"role": ["creator", "rater"], "max_minutes_a_day": [None, 30]}),
    ]


def test_what_changes_nothing_is_not_noted(studio: Studio, eve: Person, ada: Person) -> None:
    before = len(entries(studio))
    change(studio, eve.actor, ada, role="creator", is_active=True)
    change(studio, eve.actor, ada)
    assert len(entries(studio)) == before


def test_whoever_is_deactivated_needs_a_new_key_to_come_back(
    studio: Studio, clock: Clock, eve: Person, ada: Person
) -> None:
    clock.advance(60)
    user = change(studio, eve.actor, ada, is_active=False)
    assert user.deactivated_at == clock.now
    clock.advance(60)
    assert change(studio, eve.actor, ada, is_active=False).deactivated_at == user.deactivated_at
    assert change(studio, eve.actor, ada, is_active=True).deactivated_at is None
    with studio.read() as reader, pytest.raises(NotLoggedIn, match="was revoked"):
        authentication.by_key(reader, ada.key)
    with studio.read() as reader:
        authentication.by_key(reader, eve.key)


@pytest.mark.parametrize("patch", [{"role": "creator"}, {"role": "rater"}, {"is_active": False}])
def test_the_last_admin_stays_one(studio: Studio, eve: Person, ada: Person, patch: dict[str, Any]) -> None:
    for actor in (eve.actor, NOBODY):
        with pytest.raises(Conflict, match="Eve is the only admin: make somebody else one first"):
            change(studio, actor, eve, **patch)
    change(studio, eve.actor, eve, is_expert=True)  # anything else may change
    change(studio, eve.actor, ada, role="admin")
    change(studio, eve.actor, eve, **patch)
    with pytest.raises(Conflict, match="Ada is the only admin"):
        change(studio, ada.actor, ada, **patch)


def test_an_admin_who_is_deactivated_is_no_admin(studio: Studio, eve: Person, ada: Person) -> None:
    change(studio, eve.actor, ada, role="admin")
    change(studio, eve.actor, ada, is_active=False)
    with pytest.raises(Conflict, match="Eve is the only admin"):
        change(studio, eve.actor, eve, role="creator")


def test_two_admins_cannot_demote_each_other_at_once(studio: Studio, eve: Person) -> None:
    ada = add_person_with_key(studio, "Ada", role="admin")
    ends: list[str] = []

    def demote(actor: Person, other: Person) -> None:
        try:
            change(studio, actor.actor, other, role="rater")
            ends.append("done")
        except Conflict:
            ends.append("refused")

    threads = [threading.Thread(target=demote, args=pair) for pair in ((eve, ada), (ada, eve))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ends) == ["done", "refused"]


def test_nobody_has_that_id(studio: Studio, ada: Person) -> None:
    stranger = Person(Actor(ada.id.__class__(int=7)), "")
    with pytest.raises(NotFound, match="there is no user"):
        change(studio, NOBODY, stranger, role="rater")


def test_people_come_in_pages_newest_first(studio: Studio) -> None:
    for name in ("A", "B", "C"):
        add_person(studio, name)
    with studio.read() as reader:
        page = queries.find(reader, cursor=None, limit=2)
        rest = queries.find(reader, cursor=page.next_cursor, limit=2)
    assert [[user.name for user in part.rows] for part in (page, rest)] == [["C", "B"], ["A"]]


@pytest.mark.databases("postgresql")
def test_of_two_who_choose_one_name_at_once_the_second_is_told(studio: Studio) -> None:
    def add_ada(work: Work) -> User:
        return service.create(work, UserIn(name="Ada"))

    with pytest.raises(Conflict, match="there is a user Ada already"):
        outcome_of_second(studio, add_ada, add_ada)
