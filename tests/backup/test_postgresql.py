"""A backup goes from one kind of database to the other and back, on a real PostgreSQL server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.backup.full import Rows, blobs_of, everything, fill, with_null_vocabularies
from tests.databases import TEMPLATE, lent_database
from tests.postgres import PostgreSQL
from tests.rows import add_prompt
from tests.studios import Clock
from text2song.backup import restoring, taking
from text2song.backup.folder import BackupFolder
from text2song.backup.restoring import restore
from text2song.backup.rows import fill_table, write_table
from text2song.backup.taking import take
from text2song.blobs.local import LocalBlobs
from text2song.db.engine import open_engine
from text2song.db.registry import metadata
from text2song.generation.tables import GenerationJob
from text2song.jobs.queue import SilentQueue
from text2song.settings import load_settings
from text2song.studio import Studio


@pytest.fixture(name="server", params=["made by restore", "migrated"])
def open_server(
    request: pytest.FixtureRequest, postgresql: PostgreSQL, tmp_path: Path, clock: Clock
) -> Iterator[Studio]:
    """A studio on the server that holds nothing, with tables or without."""
    template = TEMPLATE if request.param == "migrated" else "template0"
    with lent_database(postgresql, template=template) as url:
        settings = load_settings({"TEXT2SONG_HOME": str(tmp_path), "TEXT2SONG_DATABASE_URL": url})
        engine = open_engine(settings.database)
        yield Studio(engine, LocalBlobs(tmp_path / "server"), SilentQueue(), settings, clock)
        engine.dispose()


def settled(studio: Studio) -> Rows:
    return {table: rows for table, rows in everything(studio).items() if table != "generation_jobs"}


def test_a_studio_moves_to_a_server_and_back(
    studio: Studio, server: Studio, other: Studio, folder: BackupFolder, tmp_path: Path
) -> None:
    fill(studio)
    with_null_vocabularies(studio)
    take(studio, folder)
    restore(server, folder)
    assert settled(server) == settled(studio)
    again = BackupFolder(tmp_path / "again")
    take(server, again)
    restore(other, again)
    assert settled(other) == settled(studio)
    assert everything(other) == everything(server)
    assert blobs_of(other) == blobs_of(server)


def test_the_foreign_keys_are_there_again(studio: Studio, server: Studio, folder: BackupFolder) -> None:
    fill(studio)
    take(studio, folder)
    restore(server, folder)
    inspector = sa.inspect(server.engine)
    found = {key["name"] for table in metadata().tables for key in inspector.get_foreign_keys(table)}
    assert found == {c.name for t in metadata().tables.values() for c in t.foreign_key_constraints}
    with server.work() as work:
        late = sa.select(GenerationJob.retry_of).where(GenerationJob.retry_of.is_not(None)).scalar_subquery()
        work.session.execute(sa.delete(GenerationJob).where(GenerationJob.id == late))
    with server.read() as reader:  # ON DELETE SET NULL
        assert not reader.session.scalars(
            sa.select(GenerationJob).where(GenerationJob.retry_of.is_not(None))
        ).all()


def test_the_rows_are_those_of_one_moment(
    studio: Studio, server: Studio, folder: BackupFolder, clock: Clock, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    fill(studio)
    take(studio, folder)
    restore(server, folder)
    before = settled(server)

    def write_beside_others(*arguments: object) -> object:
        with server.work() as work:
            add_prompt(work.session)
        return write_table(*arguments)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(taking, "write_table", write_beside_others)
    take(server, BackupFolder(tmp_path / "again"))
    assert len(settled(server)["prompts"]) > len(before["prompts"])
    clock.advance(3600)
    restore(server, BackupFolder(tmp_path / "again"), aside=tmp_path / "aside")
    assert len(settled(server)["prompts"]) <= len(before["prompts"]) + 1  # until the first read
    assert settled(server) | {"prompts": []} == before | {"prompts": []}


def test_readers_see_the_old_studio_until_the_new_one_is_whole(
    studio: Studio, server: Studio, folder: BackupFolder, clock: Clock, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    fill(studio)
    take(studio, folder)
    restore(server, folder)
    clock.advance(3600)
    before = everything(server)

    def break_late(connection: sa.Connection, *arguments: object) -> int:
        if connection.scalar(sa.text("SELECT count(*) FROM prompts")):
            raise KeyboardInterrupt
        return fill_table(connection, *arguments)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(restoring, "fill_table", break_late)
    with pytest.raises(KeyboardInterrupt):
        restore(server, folder, aside=tmp_path / "aside")
    assert everything(server) == before
