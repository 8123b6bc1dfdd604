"""What a connection is given, asked of a real server."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect, make_url, select, text
from sqlalchemy.exc import DBAPIError

from tests.databases import lent_database, wait_for_a_lock
from tests.jobs.workshop import submit
from tests.postgres import OWNER, PASSWORD, USER, PostgreSQL
from tests.studios import START, Clock, noise_info
from text2song.artifacts.digest import canonical_json
from text2song.db import postgresql as limits
from text2song.db import schema
from text2song.db.engine import open_engine, read_session, write_session
from text2song.db.registry import metadata
from text2song.errors import DatabaseBusy, InvalidInput, InvalidSetting, ModelOutputRejected
from text2song.generation.tables import GenerationJob
from text2song.jobs import lifecycle
from text2song.models import service as models
from text2song.prompts.tables import Prompt
from text2song.studio import Studio
from text2song.users.tables import User

pytestmark = pytest.mark.databases("postgresql")
SEARCH_INDEX = "ix_prompts_words_trigrams"
"""Not in the tables' own metadata: a server may be without it."""


@pytest.fixture(name="empty")
def lend_empty(postgresql: PostgreSQL) -> Iterator[str]:
    """The URL of a database without tables."""
    with lent_database(postgresql, template="template0") as url:
        yield url


@pytest.fixture(name="engine")
def open_empty(empty: str) -> Iterator[Engine]:
    opened = open_engine(empty)
    yield opened
    opened.dispose()


def shown(engine: Engine, *names: str) -> list[str]:
    with engine.connect() as connection:
        return [str(connection.execute(text(f"SHOW {name}")).scalar()) for name in names]


LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")


def test_every_wait_has_a_limit_and_the_server_can_tell_who_we_are(engine: Engine) -> None:
    assert shown(engine, *LIMITS, "timezone", "application_name") == ["30s", "5s", "10s", "UTC", "text2song"]


def test_what_the_url_says_counts_more(empty: str) -> None:
    engine = open_engine(f"{empty}&application_name=ours&options=-c%20statement_timeout%3D7s")
    assert shown(engine, "statement_timeout", "lock_timeout", "application_name") == ["7s", "5s", "ours"]
    engine.dispose()


@pytest.mark.parametrize(
    ("query", "words"), [("colour=blue", '"colour"'), ("connect_timeout=soon", "number of seconds")]
)
def test_an_option_that_there_is_not_is_told_without_the_password(query: str, words: str) -> None:
    with pytest.raises(InvalidSetting, match=words) as error:
        open_engine(f"postgresql://me:{PASSWORD}@localhost/studio?{query}")
    assert PASSWORD not in error.value.message


def test_a_unit_that_writes_looks_again_and_one_that_reads_sees_one_state(engine: Engine) -> None:
    kind = text("SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')")
    for _ in range(2):  # on one connection, in turns
        with write_session(engine) as session, session.begin():
            assert session.execute(kind).one() == ("read committed", "off")
        with read_session(engine) as session:
            assert session.execute(kind).one() == ("repeatable read", "on")


@pytest.mark.parametrize(
    "statement", ["DELETE FROM users", "DROP TABLE users", "SELECT * FROM users FOR UPDATE"]
)
def test_the_server_itself_refuses_what_a_reader_writes_past_the_orm(studio: Studio, statement: str) -> None:
    with studio.work() as work:
        work.session.add(User(name="Bob", created_at=START))
    with read_session(studio.engine) as session, pytest.raises(DBAPIError, match="read-only transaction"):
        session.execute(text(statement))
    with studio.work() as work:  # on the very connection that refused
        work.session.add(User(name="Ada", created_at=START))
    with studio.read() as reader:
        assert len(reader.session.scalars(select(User)).all()) == 2


def test_a_unit_that_waits_too_long_for_another_is_told_to_try_again(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LOCK_SECONDS", 0.1)
    impatient = replace(studio, engine=open_engine(studio.settings.database))
    with studio.work() as work:
        work.session.add(User(name="Ada", created_at=START))
        work.session.flush()
        with pytest.raises(DatabaseBusy, match="try again"), impatient.work() as other:
            other.session.add(User(name="Ada", created_at=START))
    impatient.engine.dispose()


def test_long_words_of_a_model_are_stored(studio: Studio) -> None:
    info = replace(noise_info(), id="m" * 200, license="See the licence. " * 100, revision="r" * 200)
    with studio.work() as work:
        models.announce(work, info, worker="w" * 128, capacity=8)


def test_the_migrations_make_exactly_the_tables_that_the_code_has(studio: Studio) -> None:
    with studio.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        differences = [str(found) for found in compare_metadata(context, metadata())]
    assert [found for found in differences if SEARCH_INDEX not in found] == []


def test_the_search_for_prompts_has_an_index_where_the_server_has_the_extension(
    engine: Engine, tmp_path: Path
) -> None:
    schema.upgrade(engine, backups=tmp_path, now=START)
    assert (SEARCH_INDEX in indexes(engine)) is is_offered(engine)
    with engine.connect() as connection:
        connection.execute(text("SET enable_seqscan = off"))
        connection.execute(text("SET enable_indexscan = off"))
        plan = connection.execute(text("EXPLAIN SELECT id FROM prompts WHERE words LIKE '%zither%'"))
        assert (SEARCH_INDEX in "\n".join(plan.scalars())) is (SEARCH_INDEX in indexes(engine))


def test_without_the_right_to_it_the_search_does_without(
    postgresql: PostgreSQL, empty: str, tmp_path: Path
) -> None:
    name = make_url(empty).database or ""
    postgresql.run_sql(f"ALTER DATABASE {name} OWNER TO {OWNER}")
    postgresql.run_sql(f"GRANT CREATE ON SCHEMA public TO {USER}", database=name)
    engine = open_engine(empty)
    assert schema.upgrade(engine, backups=tmp_path, now=START).after == schema.head()
    assert SEARCH_INDEX not in indexes(engine)
    engine.dispose()


def test_an_extension_that_lies_where_nobody_looks_for_it_is_as_good_as_none(
    postgresql: PostgreSQL, empty: str, engine: Engine, tmp_path: Path
) -> None:
    if not is_offered(engine):
        pytest.skip("this server has no pg_trgm: Debian's brings it along")
    apart = ("CREATE SCHEMA apart", "CREATE EXTENSION pg_trgm SCHEMA apart")
    postgresql.run_sql(*apart, database=make_url(empty).database or "")
    assert schema.upgrade(engine, backups=tmp_path, now=START).after == schema.head()
    assert SEARCH_INDEX not in indexes(engine)


def is_offered(engine: Engine) -> bool:
    with engine.connect() as connection:
        found = connection.execute(text("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm'"))
        return found.scalar() == 1


def indexes(engine: Engine) -> set[str | None]:
    return {index["name"] for index in inspect(engine).get_indexes("prompts")}


def test_an_empty_database_gets_the_newest_schema_and_there_is_no_copy(
    engine: Engine, tmp_path: Path
) -> None:
    upgraded = schema.upgrade(engine, backups=tmp_path, now=START)
    assert upgraded == schema.Upgrade(before=None, after=schema.head(), backup=None)
    assert set(inspect(engine).get_table_names()) == {*metadata().tables, "alembic_version"}
    schema.require_current(engine)
    assert list(tmp_path.iterdir()) == []


def test_of_those_who_upgrade_at_the_same_time_each_waits_for_the_others(
    empty: str, engine: Engine, tmp_path: Path
) -> None:
    everybody_is_here = threading.Barrier(3)

    def upgrade(_: int) -> str | None:
        own = open_engine(empty)
        everybody_is_here.wait(60)
        upgraded = schema.upgrade(own, backups=tmp_path, now=START)
        own.dispose()
        return upgraded.before

    with ThreadPoolExecutor(3) as pool:
        before = list(pool.map(upgrade, range(3)))
    assert sorted(before, key=str) == [schema.head(), schema.head(), None]
    schema.require_current(engine)


def test_whoever_comes_while_another_migrates_waits_longer_than_for_a_row(
    empty: str, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LOCK_SECONDS", 0.1)
    monkeypatch.setattr(limits, "STATEMENT_SECONDS", 0.1)
    impatient = open_engine(empty)
    with ThreadPoolExecutor(1) as pool:
        with engine.connect() as first, first.begin():
            first.execute(text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": schema.MIGRATION_LOCK})
            second = pool.submit(schema.upgrade, impatient, backups=tmp_path, now=START)
            wait_for_a_lock(engine)
            time.sleep(0.4)
            assert not second.done()
        assert second.result(60).after == schema.head()
    impatient.dispose()


def test_letters_that_the_database_cannot_hold_are_found_before_anything_is_made(
    postgresql: PostgreSQL, tmp_path: Path
) -> None:
    postgresql.run_sql(
        "DROP DATABASE IF EXISTS narrow",
        f"CREATE DATABASE narrow OWNER {USER} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0",
    )
    engine = open_engine(postgresql.url("narrow"))
    with pytest.raises(InvalidSetting, match=r"LATIN1 .*ENCODING 'UTF8'"):
        schema.upgrade(engine, backups=tmp_path, now=START)
    assert inspect(engine).get_table_names() == []
    engine.dispose()
    postgresql.run_sql("DROP DATABASE narrow")


def test_a_clock_of_another_zone_on_the_server_changes_no_moment(studio: Studio, clock: Clock) -> None:
    name = studio.engine.url.database
    with studio.work() as work:
        work.session.execute(text(f"ALTER DATABASE \"{name}\" SET timezone = 'Asia/Tokyo'"))
        work.session.add(User(name="Ada", created_at=clock.now))
    studio.engine.dispose()
    with studio.read() as reader:
        moment = reader.session.scalars(select(User.created_at)).one()
        assert (moment, moment.tzinfo) == (clock.now, START.tzinfo)


@pytest.mark.parametrize(
    "values",
    [{"text": "a\0b"}, {"attributes": {"mood": "a\0b"}}, {"words": "a\0b"}],
    ids=["text", "JSON", "words"],
)
def test_what_only_this_database_cannot_keep_is_a_fault_of_what_was_asked_for(
    studio: Studio, values: dict[str, object]
) -> None:
    given: dict[str, object] = {"text": "a", "attributes": {}, "words": "a", "created_at": START}
    with pytest.raises(InvalidInput, match=r"U\+0000.*change that"), studio.work() as work:
        work.session.add(Prompt(**given | values))


def test_what_is_too_long_for_its_column_is_too(studio: Studio) -> None:
    with pytest.raises(InvalidInput, match="too long"), studio.work() as work:
        work.session.add(User(name="A" * 101, created_at=START))
    with pytest.raises(InvalidInput, match="too large"), studio.work() as work:
        work.session.execute(text("INSERT INTO users SELECT 'A', now(), NULL LIMIT 99999999999999999999"))


def test_an_error_of_another_programs_words_is_kept_with_its_job(studio: Studio) -> None:
    (job,) = submit(studio, {})
    with studio.work() as work:
        claimed = lifecycle.claim(work.session, GenerationJob, worker="w", now=work.clock(), lease_seconds=15)
        assert claimed is not None
        error = ModelOutputRejected("the codec said \0 of \udcff.flac")
        lifecycle.fail(work.session, GenerationJob, claimed, error=error, now=work.clock())
    with studio.read() as reader:
        kept = reader.session.get_one(GenerationJob, job)
        assert kept.error_message == "the codec said \N{REPLACEMENT CHARACTER} of ?.flac"


def test_json_comes_back_as_it_was_but_for_the_order_of_its_names(studio: Studio) -> None:
    given = {"z": 1, "aa": 1.0, "b": [0.1, 1e-7, 2**53], "ä": None, "": {"nested": True}}
    with studio.work() as work:
        work.session.add(Prompt(text="a", attributes=given, words="a", created_at=START))
    with studio.read() as reader:
        kept = reader.session.scalars(select(Prompt.attributes)).one()
    assert canonical_json(kept) == canonical_json(given)
    assert list(kept) != list(given)
