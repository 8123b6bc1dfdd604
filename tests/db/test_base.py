import datetime as dt
import uuid

import pytest
from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import StatementError

from tests.studios import START
from text2song.db.base import UtcDateTime, new_id
from text2song.studio import Studio
from text2song.users.tables import User


def test_ids_sort_in_the_order_of_creation_even_within_one_millisecond() -> None:
    ids = [new_id() for _ in range(5000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert {made.version for made in ids} == {7}
    assert {type(made) for made in ids} == {uuid.UUID}


def test_a_moment_comes_back_in_utc_whatever_zone_it_was_written_in(studio: Studio) -> None:
    noon_in_tokyo = dt.datetime(2026, 1, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=9)))
    with studio.work() as work:
        work.session.add(User(name="Ada", created_at=noon_in_tokyo))
    with studio.read() as reader:
        stored = reader.session.scalars(select(User.created_at)).one()
    assert stored == noon_in_tokyo
    assert stored.tzinfo is dt.UTC


def test_moments_are_compared_as_moments(studio: Studio) -> None:
    with studio.work() as work:
        for number in range(3):
            moment = START + dt.timedelta(microseconds=number)
            work.session.add(User(name=str(number), created_at=moment))
    with studio.read() as reader:
        query = select(User.name).where(User.created_at > START).order_by(User.created_at)
        assert reader.session.scalars(query).all() == ["1", "2"]


def test_a_moment_without_a_zone_is_refused(studio: Studio) -> None:
    with studio.work() as work:
        work.session.add(User(name="Ada", created_at=START.replace(tzinfo=None)))
        with pytest.raises(StatementError, match="without a time zone"):
            work.session.flush()
        work.session.rollback()


def test_postgresql_is_given_the_zone_and_sqlite_is_not() -> None:
    kind = UtcDateTime()
    assert kind.process_bind_param(START, postgresql.dialect()) == START  # type: ignore[no-untyped-call]  # theirs
    assert kind.process_bind_param(START, sqlite.dialect()) == START.replace(tzinfo=None)
    assert kind.process_bind_param(None, sqlite.dialect()) is None
