"""Who makes and revokes whose keys."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from tests.studios import START
from tests.users.people import Person, add_person_with_key
from text2song.actors import EVERYTHING, NOBODY, Actor, Permission
from text2song.errors import Conflict, Forbidden, InvalidInput, NotFound, NotLoggedIn
from text2song.studio import Studio
from text2song.users import audit, authentication, keys, queries, service
from text2song.users.schemas import KeyIn, UserPatch
from text2song.users.tables import ApiKey


def make(studio: Studio, actor: Actor, **asked: Any) -> tuple[ApiKey, str]:  # noqa: ANN401  # a body's fields
    with studio.work(actor) as work:
        return keys.create(work, KeyIn.model_validate({"name": "laptop", **asked}))


def revoke(studio: Studio, actor: Actor, key: ApiKey) -> None:
    with studio.work(actor) as work:
        keys.revoke(work, key.id)


@pytest.fixture(name="eve")
def add_eve(studio: Studio) -> Person:
    return add_person_with_key(studio, "Eve", role="admin")


@pytest.fixture(name="rae")
def add_rae(studio: Studio) -> Person:
    return add_person_with_key(studio, "Rae", role="rater")


def test_everybody_makes_keys_of_their_own(studio: Studio, rae: Person) -> None:
    key, secret = make(studio, rae.actor, scopes=["read", "rate", "read"])
    assert (key.user_id, key.scopes, key.first_letters) == (rae.id, ["rate", "read"], secret[:12])
    with studio.read() as reader:
        assert authentication.by_key(reader, secret).actor.scopes == {Permission.READ, Permission.RATE}
        entry = audit.find(reader, subject_id=key.id, cursor=None, limit=1).rows[0]
    assert (entry.act, entry.actor_id) == ("key.create", rae.id)
    assert entry.details == {"owner": str(rae.id), "scopes": ["rate", "read"]}
    assert secret[12:] not in str(entry.details)


def test_only_admins_make_keys_for_others(studio: Studio, eve: Person, rae: Person) -> None:
    with pytest.raises(Forbidden, match="only admins make keys for others"):
        make(studio, rae.actor, user_id=eve.id)
    for actor in (eve.actor, NOBODY):
        assert make(studio, actor, user_id=rae.id)[0].user_id == rae.id
    assert make(studio, rae.actor, user_id=rae.id)[0].user_id == rae.id


@pytest.mark.parametrize("scope", [*Permission])
def test_a_limited_key_neither_makes_nor_revokes_keys(studio: Studio, eve: Person, scope: Permission) -> None:
    """Or whoever finds one makes another that lives on when it is revoked."""
    limited = replace(eve.actor, scopes=frozenset({Permission.READ, scope}))
    key, _ = make(studio, eve.actor)
    with pytest.raises(Forbidden, match="neither makes nor revokes keys"):
        make(studio, limited)
    with pytest.raises(Forbidden, match="neither makes nor revokes keys"):
        revoke(studio, limited, key)
    revoke(studio, replace(eve.actor, scopes=EVERYTHING), key)


def test_nobody_s_key_cannot_be(studio: Studio, eve: Person) -> None:
    with pytest.raises(Conflict, match="a key belongs to somebody") as refused:
        make(studio, NOBODY)
    assert refused.value.field == "user_id"
    with pytest.raises(NotFound, match="there is no user"):
        make(studio, eve.actor, user_id="0198c0de-0000-7000-8000-000000000000")


def test_a_key_for_somebody_deactivated_is_refused(studio: Studio, eve: Person, rae: Person) -> None:
    with studio.work() as work:
        service.change(work, rae.id, UserPatch(is_active=False))
    with pytest.raises(Conflict, match="Rae is deactivated"):
        make(studio, eve.actor, user_id=rae.id)


def test_a_key_that_has_expired_already_is_refused(studio: Studio, eve: Person) -> None:
    make(studio, eve.actor, expires_at=START + dt.timedelta(seconds=1))
    with pytest.raises(InvalidInput, match="lies in the past") as refused:
        make(studio, eve.actor, expires_at=START)
    assert refused.value.field == "expires_at"


def test_nobody_hoards_keys(studio: Studio, eve: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "KEYS_LIMIT", 3)
    made = [make(studio, eve.actor)[0] for _ in range(2)]
    with pytest.raises(Conflict, match="Eve has 3 keys"):
        make(studio, eve.actor)
    revoke(studio, eve.actor, made[0])
    make(studio, eve.actor)


def test_a_key_is_revoked_by_its_owner_and_by_admins_and_for_others_it_does_not_exist(
    studio: Studio, eve: Person, rae: Person
) -> None:
    key, secret = make(studio, eve.actor)
    with pytest.raises(NotFound, match="there is no key"):
        revoke(studio, rae.actor, key)
    with studio.read() as reader:
        authentication.by_key(reader, secret)
    hers, her_secret = make(studio, rae.actor)
    revoke(studio, eve.actor, hers)
    revoke(studio, rae.actor, hers)  # a second time changes nothing
    with studio.read() as reader:
        noted = audit.find(reader, subject_id=hers.id, cursor=None, limit=9).rows
        with pytest.raises(NotLoggedIn):
            authentication.by_key(reader, her_secret)
    assert [(entry.act, entry.actor_id) for entry in noted] == [
        ("key.revoke", eve.id),
        ("key.create", rae.id),
    ]


def test_keys_are_listed_for_their_owner_alone_and_all_where_nobody_logs_in(
    studio: Studio, eve: Person, rae: Person
) -> None:
    def owners(actor: Actor, **asked: Any) -> set[Any]:  # noqa: ANN401  # ids
        with studio.read(actor) as reader:
            found = queries.find_keys(reader, user_id=asked.get("user_id"), cursor=None, limit=50)
            return {key.user_id for key in found.rows}

    assert owners(rae.actor) == {rae.id}
    assert owners(eve.actor) == {eve.id}
    assert owners(eve.actor, user_id=rae.id) == {rae.id}
    assert owners(NOBODY) == {eve.id, rae.id}
