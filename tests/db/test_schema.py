import hashlib
import multiprocessing
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from textwrap import dedent

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect, text

from tests.db.disks import small_disk
from tests.rows import add_prompt, job_of
from tests.studios import START
from text2song.db import engine as engines
from text2song.db import schema
from text2song.db.engine import WRITES_OPTION, open_engine, write_session
from text2song.db.registry import metadata
from text2song.errors import DatabaseBusy, SchemaTooNew, SchemaTooOld, StorageFailed, StorageFull

LAST = schema.head()
NEXT = "next"
"""The revision of the migrations that these tests make up."""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "studio.db"


@pytest.fixture
def engine(database: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.2)
    opened = open_engine(f"sqlite:///{database}")
    yield opened
    opened.dispose()


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    return tmp_path / "home" / "backups"


Future = Callable[[str], None]


@pytest.fixture
def future(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Future:
    """Add a migration of a later version, of which only the body of `upgrade` is given."""
    folder = tmp_path / "migrations"

    def add(body: str) -> None:
        shutil.copytree(Path(schema.__file__).parent / "migrations", folder)
        heading = "import sqlalchemy as sa\nfrom alembic import op\n"
        heading += f'revision = "{NEXT}"\ndown_revision = "{LAST}"\n'
        function = "def upgrade():\n" + "".join(f"    {line}\n" for line in dedent(body).strip().splitlines())
        (folder / "versions" / "later.py").write_text(heading + function)
        monkeypatch.setattr(schema, "_config", lambda: later)

    later = Config()
    later.set_main_option("script_location", str(folder))
    later.set_main_option("path_separator", "os")
    return add


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names())


def with_a_job(engine: Engine) -> None:
    with write_session(engine) as session, session.begin():
        session.add(job_of(add_prompt(session)))


def count(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608  # ours
    return int(found)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_empty_database_gets_the_newest_schema_without_a_copy(engine: Engine, backups: Path) -> None:
    upgraded = schema.upgrade(engine, backups=backups, now=START)
    assert upgraded == schema.Upgrade(before=None, after=schema.head(), backup=None)
    assert tables(engine) == {*metadata().tables, "alembic_version"}
    assert not backups.exists()
    schema.require_current(engine)


def test_the_second_time_there_is_nothing_to_do(engine: Engine, backups: Path) -> None:
    schema.upgrade(engine, backups=backups, now=START)
    again = schema.upgrade(engine, backups=backups, now=START)
    assert again == schema.Upgrade(before=schema.head(), after=schema.head(), backup=None)
    assert not backups.exists()


def test_the_migrations_make_exactly_the_tables_that_the_code_has(engine: Engine, backups: Path) -> None:
    schema.upgrade(engine, backups=backups, now=START)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata()) == []


def test_a_migration_can_be_taken_back(engine: Engine, backups: Path) -> None:
    schema.upgrade(engine, backups=backups, now=START)
    config = schema._config()
    with engine.connect().execution_options(**{WRITES_OPTION: True}) as connection, connection.begin():
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert tables(engine) == {"alembic_version"}
    schema.upgrade(engine, backups=backups, now=START)
    assert tables(engine) == {*metadata().tables, "alembic_version"}


def upgrade_in_a_process(database: Path, start: object, found: "multiprocessing.Queue[str]") -> None:
    engine = open_engine(f"sqlite:///{database}")
    start.wait(30)  # type: ignore[attr-defined]  # a Barrier of a start method, which has no public type
    upgraded = schema.upgrade(engine, backups=database.parent / "backups", now=START)
    found.put(str(upgraded.before))


def test_two_processes_may_upgrade_at_once(engine: Engine, database: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    start, found = spawn.Barrier(2), spawn.Queue()
    both = [spawn.Process(target=upgrade_in_a_process, args=(database, start, found)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    assert {found.get(timeout=5), found.get(timeout=5)} <= {"None", schema.head()}
    schema.require_current(engine)
    assert tables(engine) == {*metadata().tables, "alembic_version"}


def test_what_was_there_is_copied_before_it_is_changed(
    engine: Engine, database: Path, backups: Path, future: Future
) -> None:
    schema.upgrade(engine, backups=backups, now=START)
    with_a_job(engine)
    future('op.drop_table("doomed_blobs")')
    upgraded = schema.upgrade(engine, backups=backups, now=START)

    assert (upgraded.before, upgraded.after) == (LAST, NEXT)
    assert upgraded.backup == backups / f"studio-{LAST}-20260101T120000.db"
    assert "doomed_blobs" not in tables(engine)
    assert count(database, "generation_jobs") == 1
    assert list(backups.iterdir()) == [upgraded.backup]
    old = open_engine(f"sqlite:///{upgraded.backup}")  # a whole studio of the version before
    with old.connect() as connection:
        assert schema.current(connection) == LAST
        assert connection.execute(text("PRAGMA integrity_check")).scalar() == "ok"
    assert "doomed_blobs" in tables(old)
    old.dispose()
    assert count(upgraded.backup, "generation_jobs") == 1


def test_a_database_of_another_program_is_copied_too(engine: Engine, database: Path, backups: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    upgraded = schema.upgrade(engine, backups=backups, now=START)
    assert upgraded.backup is not None
    assert count(upgraded.backup, "recipes") == 0


def test_altering_a_table_keeps_the_rows_that_point_to_it(
    engine: Engine, database: Path, backups: Path, future: Future
) -> None:
    """SQLite alters a table by dropping it; with foreign keys on, that deletes what points there."""
    schema.upgrade(engine, backups=backups, now=START)
    with_a_job(engine)
    future(
        """
        with op.batch_alter_table("prompts", recreate="always") as table:
            table.add_column(sa.Column("mood", sa.Text(), nullable=True))
        """
    )
    schema.upgrade(engine, backups=backups, now=START)
    assert count(database, "prompts") == count(database, "generation_jobs") == 1
    assert "mood" in {column["name"] for column in inspect(engine).get_columns("prompts")}
    with engine.connect() as connection:  # and they are on again for everybody else
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ('op.drop_table("doomed_blobs")\nraise ZeroDivisionError', ZeroDivisionError),
        ('op.execute("DELETE FROM prompts")', RuntimeError),  # a job now points to nothing
    ],
    ids=["raises", "leaves a row that points to nothing"],
)
def test_a_migration_that_fails_changes_nothing(
    engine: Engine, database: Path, backups: Path, future: Future, body: str, error: type[Exception]
) -> None:
    schema.upgrade(engine, backups=backups, now=START)
    with_a_job(engine)
    future(body)
    with pytest.raises(error):
        schema.upgrade(engine, backups=backups, now=START)
    assert "doomed_blobs" in tables(engine)
    assert count(database, "prompts") == 1
    with engine.connect() as connection:
        assert schema.current(connection) == LAST


@pytest.mark.parametrize(
    "act",
    [
        lambda engine, backups: schema.upgrade(engine, backups=backups, now=START),
        lambda engine, _: schema.require_current(engine),
    ],
    ids=["upgrade", "require_current"],
)
def test_a_newer_schema_is_refused_and_not_a_byte_is_changed(
    engine: Engine, database: Path, backups: Path, act: Callable[[Engine, Path], object]
) -> None:
    schema.upgrade(engine, backups=backups, now=START)
    with engine.connect().execution_options(**{WRITES_OPTION: True}) as connection, connection.begin():
        connection.execute(text("UPDATE alembic_version SET version_num = '0999'"))
    engine.dispose()
    before = digest(database)
    with pytest.raises(SchemaTooNew, match=r"schema 0999.*Install that version.*Nothing was changed"):
        act(engine, backups)
    engine.dispose()
    assert digest(database) == before
    assert sorted(path.name for path in database.parent.iterdir()) == ["studio.db"]


def test_a_schema_that_is_missing_or_old_says_what_to_run(
    engine: Engine, backups: Path, future: Future
) -> None:
    with pytest.raises(SchemaTooOld, match="run `text2song db upgrade`"):
        schema.require_current(engine)
    schema.upgrade(engine, backups=backups, now=START)
    future("pass")
    with pytest.raises(SchemaTooOld, match="run `text2song db upgrade`"):
        schema.require_current(engine)


def test_a_held_lock_is_no_matter_where_nothing_is_to_be_done(
    engine: Engine, database: Path, backups: Path, future: Future
) -> None:
    schema.upgrade(engine, backups=backups, now=START)
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        schema.upgrade(engine, backups=backups, now=START)
        future('op.drop_table("doomed_blobs")')
        with pytest.raises(DatabaseBusy, match="another program keeps the database locked"):
            schema.upgrade(engine, backups=backups, now=START)
        other.execute("ROLLBACK")
    schema.upgrade(engine, backups=backups, now=START)
    assert "doomed_blobs" not in tables(engine)


def test_without_a_copy_nothing_is_changed(engine: Engine, backups: Path, future: Future) -> None:
    schema.upgrade(engine, backups=backups, now=START)
    backups.parent.mkdir()
    backups.touch()  # a file where the folder should be
    future('op.drop_table("doomed_blobs")')
    with pytest.raises(StorageFailed, match=r"copy of the database cannot be made in .*nothing was changed"):
        schema.upgrade(engine, backups=backups, now=START)
    assert "doomed_blobs" in tables(engine)


def test_a_disk_too_full_for_the_copy_is_told_and_nothing_is_changed(
    engine: Engine, tmp_path: Path, future: Future
) -> None:
    schema.upgrade(engine, backups=tmp_path, now=START)
    future('op.drop_table("doomed_blobs")')
    with small_disk(tmp_path / "disk", megabytes=1) as disk:
        (disk / "filler").write_bytes(bytes(1_000_000))
        with pytest.raises(StorageFull, match="free some space"):
            schema.upgrade(engine, backups=disk / "backups", now=START)
        assert list((disk / "backups").iterdir()) == []
    assert "doomed_blobs" in tables(engine)
