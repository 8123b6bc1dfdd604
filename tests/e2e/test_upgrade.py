"""A running studio goes on while a newer version brings the database to its schema."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.databases import lent_database
from tests.figures import RecordFigure
from tests.postgres import PostgreSQL
from tests.servers import Server, finished, served
from text2song.db import schema
from text2song.db.engine import open_engine

LATER = (
    "ALTER TABLE generation_jobs ADD COLUMN mood_of_the_day TEXT",
    "ALTER TABLE prompts ADD COLUMN weight INTEGER NOT NULL DEFAULT 1",
    "CREATE TABLE albums (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
    "CREATE INDEX ix_later ON audio_samples (model)",
    "UPDATE alembic_version SET version_num = '0999'",
)
"""What a newer version may do to the schema (see `tests/promises/test_migrations.py`)."""


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with ExitStack() as until_the_end:
        if request.param == "sqlite":
            yield f"sqlite:///{tmp_path / 'studio.db'}"
            return
        postgresql: PostgreSQL = request.getfixturevalue("postgresql")
        yield until_the_end.enter_context(lent_database(postgresql))


def submitted(server: Server, number: int) -> str:
    body = {"prompt": {"text": f"a walk {number}"}, "generation_params": {"duration": 1, "seed": number}}
    with server.client() as client:
        answer = client.post("/generate", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


@pytest.mark.slow
def test_the_old_version_works_on_over_the_schema_of_the_new_one(
    database_url: str, tmp_path: Path, record_figure: RecordFigure, request: pytest.FixtureRequest
) -> None:
    with served(tmp_path / "home", DATABASE_URL=database_url) as server:
        ids = [submitted(server, number) for number in range(4)]  # at work while it happens
        engine = open_engine(database_url)
        began = time.perf_counter()
        with schema.migrating(engine) as connection:
            for statement in LATER:
                connection.execute(text(statement))
        engine.dispose()
        record_figure(
            f"a newer schema under a working studio ({request.node.callspec.id})",
            time.perf_counter() - began,
            "s",
        )
        ids += [submitted(server, number) for number in range(4, 8)]
        with server.client() as client:
            jobs = finished(client, ids, timeout_seconds=120)
            assert [(job["status"], job["attempts"]) for job in jobs] == [("succeeded", 1)] * 8
            assert client.get("/readyz").status_code == 200
            for path in ("/prompts", "/generate", "/audio", "/models"):
                assert client.get(path).status_code == 200
        assert server.stop() == 0
        assert "Traceback" not in server.log
        server.launch()  # it would not know whether it may write: the newer version has to be installed
        assert server.process is not None
        assert server.process.wait(60) == 3
        assert "schema 0999" in server.log
