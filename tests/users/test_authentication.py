import datetime as dt
import sqlite3
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from tests.studios import START, Clock
from tests.users.people import Person, add_key, add_person, add_person_with_key
from text2song.actors import Actor, Permission, Role
from text2song.db import engine as engines
from text2song.errors import NotLoggedIn
from text2song.studio import Studio
from text2song.users import authentication, keys, queries, service, sessions
from text2song.users.authentication import Identity
from text2song.users.schemas import UserPatch
from text2song.users.tables import ApiKey, LoginSession

HOUR = dt.timedelta(hours=1)


def by_key(studio: Studio, key: str) -> Identity:
    with studio.read() as reader:
        return authentication.by_key(reader, key)


def by_session(studio: Studio, token: str) -> Identity:
    with studio.read() as reader:
        return authentication.by_session(reader, token)


def sign_in(studio: Studio, key: str) -> str:
    with studio.work() as work:
        return sessions.begin(work, authentication.by_key(work, key))


@pytest.fixture(name="ada")
def add_ada(studio: Studio) -> Person:
    return add_person_with_key(studio, "Ada")


def test_a_key_stands_for_its_owner_with_the_role_of_this_moment(studio: Studio, ada: Person) -> None:
    assert by_key(studio, ada.key).actor == ada.actor
    with studio.work() as work:
        service.change(work, ada.id, UserPatch(role="rater", is_expert=True))
    assert by_key(studio, ada.key).actor == Actor(ada.id, role=Role.RATER, is_expert=True)


def test_a_session_stands_for_the_owner_of_its_key_and_is_no_wider(studio: Studio, ada: Person) -> None:
    limited = add_key(studio, ada.actor, scopes=["read", "rate"])
    for key, scopes in ((ada.key, ada.actor.scopes), (limited, {Permission.READ, Permission.RATE})):
        identity = by_session(studio, sign_in(studio, key))
        assert identity.actor == replace(ada.actor, scopes=frozenset(scopes))
        assert identity.csrf_token
        assert identity.session_id


def test_only_digests_are_kept(studio: Studio, ada: Person) -> None:
    token = sign_in(studio, ada.key)
    with closing(sqlite3.connect(studio.settings.home / "studio.db")) as database:
        dump = "\n".join(database.iterdump())
    assert ada.key[:12] in dump  # by which she knows it again
    assert ada.key[12:] not in dump
    assert token not in dump


@pytest.mark.parametrize("key", ["", "t2s_", "t2s_" + "A" * 43, "\u00e4", "x" * 10_000])
def test_what_is_no_key_is_told_so(studio: Studio, ada: Person, key: str) -> None:
    del ada
    with pytest.raises(NotLoggedIn, match="is not one of this studio"):
        by_key(studio, key)


def test_a_key_that_is_nearly_right_opens_nothing(studio: Studio, ada: Person) -> None:
    for wrong in (ada.key[:-1], ada.key + "A", ada.key.swapcase(), ada.key[4:]):
        with pytest.raises(NotLoggedIn, match="is not one of this studio"):
            by_key(studio, wrong)
    with pytest.raises(NotLoggedIn, match="session is not known"):
        by_session(studio, ada.key)  # a key is no session
    with pytest.raises(NotLoggedIn, match="is not one of this studio"):
        by_key(studio, sign_in(studio, ada.key))  # and a session no key


def expire(studio: Studio, ada: Person) -> None:
    with studio.work() as work:
        key = work.session.get_one(ApiKey, by_key(studio, ada.key).key_id)
        key.expires_at = START


def revoke(studio: Studio, ada: Person) -> None:
    key_id = by_key(studio, ada.key).key_id
    assert key_id is not None
    with studio.work() as work:
        keys.revoke(work, key_id)


def deactivate(studio: Studio, ada: Person) -> None:
    with studio.work() as work:
        queries.get(work, ada.id).deactivated_at = START


@pytest.mark.parametrize(
    ("end", "reason"),
    [(expire, "key has expired"), (revoke, "key was revoked"), (deactivate, "account is deactivated")],
)
def test_what_ends_a_key_ends_its_sessions_at_once(
    studio: Studio, ada: Person, end: Callable[[Studio, Person], None], reason: str
) -> None:
    token = sign_in(studio, ada.key)
    assert by_session(studio, token).actor == by_key(studio, ada.key).actor
    end(studio, ada)
    with pytest.raises(NotLoggedIn, match=reason):
        by_key(studio, ada.key)
    with pytest.raises(NotLoggedIn, match=reason):
        by_session(studio, token)


def test_a_key_is_good_until_the_moment_that_it_names(studio: Studio, clock: Clock, ada: Person) -> None:
    key = add_key(studio, ada.actor, expires_at=START + HOUR)
    clock.advance(3599)
    by_key(studio, key)
    clock.advance(1)
    with pytest.raises(NotLoggedIn, match="expired"):
        by_key(studio, key)


def test_a_session_ends_by_itself_and_by_signing_out(studio: Studio, clock: Clock, ada: Person) -> None:
    first, second = sign_in(studio, ada.key), sign_in(studio, ada.key)
    session_id = by_session(studio, first).session_id
    assert session_id is not None
    with studio.work() as work:
        sessions.end(work, session_id)
    with pytest.raises(NotLoggedIn, match="session is over"):
        by_session(studio, first)
    clock.advance(sessions.LIFETIME.total_seconds() - 1)
    by_session(studio, second)
    clock.advance(1)
    with pytest.raises(NotLoggedIn, match="session is over"):
        by_session(studio, second)


def test_sessions_that_are_over_are_cleared_away_by_the_next_one(
    studio: Studio, clock: Clock, ada: Person
) -> None:
    for _ in range(3):
        sign_in(studio, ada.key)
    clock.advance(sessions.LIFETIME.total_seconds())
    sign_in(studio, ada.key)
    with studio.read() as reader:
        assert reader.session.query(LoginSession).count() == 1


def test_without_a_login_it_must_be_the_one_person_that_there_is(studio: Studio) -> None:
    def who() -> Actor | None:
        with studio.read() as reader:
            identity = authentication.without_login(reader)
            return identity.actor if identity else None

    assert who() == Actor(role=Role.ADMIN)
    rae = add_person(studio, "Rae", role="rater")
    assert who() == Actor(rae.user_id, role=Role.ADMIN)  # she has the machine
    ada = add_person(studio, "Ada", role="admin")
    assert who() is None
    assert rae.user_id is not None
    with studio.work() as work:
        service.change(work, rae.user_id, UserPatch(is_active=False))
    assert who() == ada


def test_there_are_users_from_the_first_one_on(studio: Studio) -> None:
    with studio.read() as reader:
        assert not authentication.has_users(reader)
    ada = add_person(studio, "Ada")
    deactivate(studio, Person(ada, ""))
    with studio.read() as reader:
        assert authentication.has_users(reader)


def used_at(studio: Studio, key_id: uuid.UUID | None) -> dt.datetime | None:
    with studio.read() as reader:
        return reader.session.get_one(ApiKey, key_id).last_used_at


def test_the_last_use_is_noted_to_the_minute(studio: Studio, clock: Clock, ada: Person) -> None:
    key_id = by_key(studio, ada.key).key_id
    assert key_id is not None
    assert by_key(studio, ada.key).is_use_unnoted
    authentication.note_use(studio, key_id)
    assert used_at(studio, key_id) == START
    clock.advance(59)
    assert not by_key(studio, ada.key).is_use_unnoted
    authentication.note_use(studio, key_id)  # another process that looked earlier
    assert used_at(studio, key_id) == START
    clock.advance(1)
    assert by_key(studio, ada.key).is_use_unnoted
    authentication.note_use(studio, key_id)
    assert used_at(studio, key_id) == clock.now


def test_a_busy_database_costs_the_note_and_nothing_else(
    studio: Studio, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_id = by_key(studio, ada.key).key_id
    assert key_id is not None
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.1)
    impatient = replace(studio, engine=engines.open_engine(studio.settings.database))
    with closing(sqlite3.connect(studio.settings.home / "studio.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with capture_logs() as lines:
            authentication.note_use(impatient, key_id)
        other.execute("ROLLBACK")
    impatient.engine.dispose()
    assert [line["code"] for line in lines] == ["database_busy"]
    assert used_at(studio, key_id) is None
