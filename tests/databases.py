"""Which database a test's studio has: SQLite, or PostgreSQL on a real server that the run starts itself.

A test that asks for `settings`, `studio`, `desk` and the like runs on SQLite. `@pytest.mark.databases(
"sqlite", "postgresql")` has it run on both; with one name it runs on that one alone. `--database
postgresql` runs on PostgreSQL whatever may run there, and nothing else: `make proof` does.

The server is started when the first test needs it, shared by all processes of the run, and gone when
the last of them has ended (see `tests.postgres`). Each test has a database of its own, copied from a
migrated one.
"""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import pytest

from tests.postgres import INSTALL, USER, PostgreSQL, programs

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from text2song.studio import Studio, Work

Outcome = TypeVar("Outcome")

ROOT: Final = Path(__file__).parents[1]
MARKER: Final = "databases"
SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql"
TEMPLATE: Final = "migrated"
Place = Path | str
"""A SQLite file to copy, or the URL of a PostgreSQL database."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--database", choices=(SQLITE, POSTGRESQL), help="run what may run there, and only that")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "database_kind" in metafunc.fixturenames:
        kinds = _kinds(metafunc.definition, chosen=metafunc.config.getoption("database"))
        if kinds != [SQLITE]:
            metafunc.parametrize("database_kind", kinds, indirect=True, scope="module")


def _kinds(test: pytest.Function, *, chosen: str | None) -> list[str]:
    marker = test.get_closest_marker(MARKER)
    named = list(marker.args) if marker else None
    if chosen is None:
        return named or [SQLITE]
    return [chosen] if named is None or chosen in named else named


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With `--database`, leave out what does not run on it."""
    chosen = config.getoption("database")
    if chosen is None:
        return
    wanted = [item for item in items if _runs_on(item) == chosen]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(wanted)])
    items[:] = wanted


def _runs_on(item: pytest.Item) -> str | None:
    if "database_kind" not in getattr(item, "fixturenames", ()):
        return POSTGRESQL if "postgresql" in getattr(item, "fixturenames", ()) else None
    callspec = getattr(item, "callspec", None)
    params = callspec.params if callspec is not None else {}
    kind: str = params.get("database_kind", SQLITE)
    return kind


@pytest.fixture(scope="module")
def database_kind(request: pytest.FixtureRequest) -> str:
    kind: str = getattr(request, "param", SQLITE)
    return kind


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQL]:
    """The server of this run; the test is skipped where there is none to start."""
    if programs() is None:
        pytest.skip(f"PostgreSQL is not installed: {INSTALL}")
    shared = tmp_path_factory.getbasetemp()
    if shared.name.startswith("popen-"):
        shared = shared.parent  # the processes of one run meet here
    with ExitStack() as until_the_end:
        yield _join(shared, until_the_end)


def _join(shared: Path, until_the_end: ExitStack) -> PostgreSQL:
    """The server that another process of the run has started, or else one that we start."""
    with (shared / "postgresql.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        users, where = shared / "postgresql.users", shared / "postgresql.json"
        is_first = not users.exists()
        file = until_the_end.enter_context(users.open("w" if is_first else "r"))
        fcntl.flock(file, fcntl.LOCK_SH)
        if not is_first and not users.exists():  # it was just given up
            is_first = True
            file = until_the_end.enter_context(users.open("w"))
            fcntl.flock(file, fcntl.LOCK_SH)
        if is_first:
            where.write_text(_start_keeper(users))
        told = json.loads(where.read_text())
        server = PostgreSQL(Path(told["folder"]), Path(told["bin"]), told["port"])
        if is_first:
            _make_template(server)
        return server


def _start_keeper(users: Path) -> str:
    keeper = subprocess.Popen(
        [sys.executable, "-m", "tests.postgres", users],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # no Ctrl-C, no hang-up: it ends when the last process of the run has
    )
    assert keeper.stdout is not None
    said = keeper.stdout.readline()
    assert said, "the keeper of PostgreSQL ended: see above"
    keeper.returncode = 0  # it outlives this process on purpose
    keeper.stdout.close()
    return said


def _make_template(server: PostgreSQL) -> None:
    from tests.studios import START
    from text2song.db import schema
    from text2song.db.engine import open_engine

    server.run_sql(f"CREATE DATABASE {TEMPLATE} OWNER {USER}")
    engine = open_engine(server.url(TEMPLATE))
    schema.upgrade(engine, backups=server.folder, now=START)
    engine.dispose()


@contextmanager
def lent_database(server: PostgreSQL, *, template: str = TEMPLATE, tcp: bool = False) -> Iterator[str]:
    """The URL of a migrated database, which is there for nobody else and gone afterwards."""
    name = f"t{uuid.uuid4().hex}"
    server.run_sql(f"CREATE DATABASE {name} OWNER {USER} TEMPLATE {template} STRATEGY file_copy")
    try:
        yield server.url(name, tcp=tcp)
    finally:
        server.run_sql(f"DROP DATABASE {name} WITH (FORCE)")


Lend = Callable[[], Place]


def _lend(kind: str, request: pytest.FixtureRequest, until_the_end: ExitStack) -> Place:
    if kind == SQLITE:
        place: Path = request.getfixturevalue("_migrated_database")
        return place
    return until_the_end.enter_context(lent_database(request.getfixturevalue("postgresql")))


@pytest.fixture
def database(database_kind: str, request: pytest.FixtureRequest) -> Iterator[Place]:
    """A migrated database for one test."""
    with ExitStack() as until_the_end:
        yield _lend(database_kind, request, until_the_end)


@pytest.fixture(scope="module")
def shared_database(database_kind: str, request: pytest.FixtureRequest) -> Iterator[Place]:
    """A migrated database for all tests of a module."""
    with ExitStack() as until_the_end:
        yield _lend(database_kind, request, until_the_end)


def wait_for_a_lock(engine: Engine, *, waiting: int = 1, limit_seconds: float = 30) -> None:
    """Until so many connections to this PostgreSQL database wait for what another holds."""
    from sqlalchemy import text

    asked = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"
    )
    until = time.monotonic() + limit_seconds
    while time.monotonic() < until:
        with engine.connect() as connection:
            if (connection.execute(text(asked)).scalar() or 0) >= waiting:
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits")


def outcome_of_second(
    studio: Studio, first: Callable[[Work], object], second: Callable[[Work], Outcome]
) -> Outcome:
    """What a unit comes to that must wait for another on PostgreSQL, which commits once it does."""

    def run() -> Outcome:
        with studio.work() as work:
            return second(work)

    with ThreadPoolExecutor(1) as pool:
        with studio.work() as work:
            first(work)
            later = pool.submit(run)
            wait_for_a_lock(studio.engine)
        return later.result(30)
