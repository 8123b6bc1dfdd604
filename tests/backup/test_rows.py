"""Rows survive the way through text, to the last bit."""

import gzip
import json
import math
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.backup.full import everything, fill, with_null_vocabularies
from text2song.audio.tables import AudioSample
from text2song.backup.manifest import SavedTable
from text2song.backup.rows import fill_table, kind_of, read_lines, write_lines, write_table
from text2song.db import registry, schema
from text2song.errors import BackupDamaged
from text2song.models.tables import Model
from text2song.studio import Studio
from text2song.users.tables import User

TABLES = registry.metadata().sorted_tables


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_column_has_a_kind(table: sa.Table) -> None:
    assert {kind_of(column) for column in table.columns} <= {
        "uuid", "moment", "json", "bytes", "boolean", "number", "text",
    }  # fmt: skip


def written(studio: Studio, table: sa.Table, folder: Path) -> SavedTable:
    folder.mkdir(exist_ok=True)
    with studio.engine.connect() as connection:
        return write_table(connection, table, folder)


def filled(studio: Studio, saved: SavedTable, folder: Path) -> None:
    with schema.migrating(studio.engine) as connection:
        connection.execute(sa.text(f"DELETE FROM {saved.name}"))  # noqa: S608  # our own name
        fill_table(connection, saved, folder)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_rows_of_every_table_come_back_equal(studio: Studio, tmp_path: Path, table: sa.Table) -> None:
    fill(studio)
    with_null_vocabularies(studio)
    before = everything(studio)
    filled(studio, written(studio, table, tmp_path / "saved"), tmp_path / "saved")
    assert before[table.name]
    assert everything(studio) == before


def test_the_same_rows_give_the_same_bytes(studio: Studio, tmp_path: Path) -> None:
    fill(studio)
    for table in TABLES:
        first = written(studio, table, tmp_path / "first")
        assert written(studio, table, tmp_path / "second") == first


def test_null_and_a_document_that_is_null_stay_two_things(studio: Studio, tmp_path: Path) -> None:
    fill(studio)
    with_null_vocabularies(studio)
    saved = written(studio, Model.__table__, tmp_path / "saved")  # type: ignore[arg-type]  # it is a Table
    rows = {row["name"]: row for row in map(json.loads, read_lines(tmp_path / "saved" / saved.file.name))}
    assert "vocabulary" not in rows["sql"]
    assert rows["json"]["vocabulary"] is None


@pytest.mark.parametrize("value", [-math.inf, math.inf, 1e-320, 0.1 + 0.2])
def test_fractions_keep_every_bit(studio: Studio, tmp_path: Path, value: float) -> None:
    fill(studio)
    with studio.work() as work:
        work.session.execute(sa.update(AudioSample).values(loudness_lufs=value))
    saved = written(studio, AudioSample.__table__, tmp_path / "saved")  # type: ignore[arg-type]  # it is a Table
    filled(studio, saved, tmp_path / "saved")
    [row] = everything(studio)["audio_samples"]
    assert row["loudness_lufs"] == value


def test_many_rows_are_never_all_in_memory(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("text2song.backup.rows.PIECE_ROWS", 3)
    with studio.work() as work:
        work.session.add_all(User(name=f"user {n}", created_at=studio.clock()) for n in range(10))
    before = everything(studio)
    saved = written(studio, User.__table__, tmp_path / "saved")  # type: ignore[arg-type]  # it is a Table
    filled(studio, saved, tmp_path / "saved")
    assert (saved.file.lines, everything(studio)) == (10, before)


@pytest.mark.parametrize("line", ["7", "{", '{"name": "x", "password": 1}', '{"id": "no uuid"}'])
def test_a_line_that_is_no_row_is_told(studio: Studio, tmp_path: Path, line: str) -> None:
    saved = written(studio, User.__table__, tmp_path / "saved")  # type: ignore[arg-type]  # it is a Table
    with gzip.open(tmp_path / "saved" / saved.file.name, "wt") as file:
        file.write(line + "\n")
    with pytest.raises(BackupDamaged, match=r"users\.jsonl\.gz holds"):
        filled(studio, saved, tmp_path / "saved")


def test_a_file_that_was_cut_short_is_told(tmp_path: Path) -> None:
    path = tmp_path / "keys.txt.gz"
    write_lines(path, (str(n) for n in range(10_000)))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BackupDamaged, match="damaged"):
        list(read_lines(path))


def test_a_file_with_damaged_bytes_is_told(tmp_path: Path) -> None:
    path = tmp_path / "keys.txt.gz"
    write_lines(path, (str(n) for n in range(10_000)))
    whole = path.read_bytes()
    for at in range(0, len(whole), 997):  # the head, the compressed middle, and the sum at the end
        path.write_bytes(whole[:at] + b"\xff" * 8 + whole[at + 8 :])
        with pytest.raises(BackupDamaged, match="damaged"):
            list(read_lines(path))


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    path = tmp_path / "keys.txt.gz"
    with pytest.raises(BackupDamaged, match="missing"):
        list(read_lines(path))
