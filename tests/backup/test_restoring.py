"""Back up, wipe, restore: every row and every byte is as before."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.backup.full import blobs_of, empty_studio, everything, fill, with_null_vocabularies
from tests.db.disks import small_disk
from tests.rows import add_prompt
from tests.studios import Clock, noise_info
from text2song.audio.tables import AudioSample
from text2song.backup import restoring
from text2song.backup.folder import BackupFolder
from text2song.backup.restoring import restore
from text2song.backup.rows import fill_table
from text2song.backup.taking import take
from text2song.db import schema
from text2song.errors import BackupDamaged, Conflict, SchemaTooNew, StorageFull
from text2song.jobs.columns import JobStatus
from text2song.models import service as models
from text2song.studio import Studio


def test_every_row_and_every_byte_comes_back(studio: Studio, folder: BackupFolder, other: Studio) -> None:
    running = fill(studio)
    with_null_vocabularies(studio)
    before, bytes_before = everything(studio), blobs_of(studio)
    assert all(before.values()), "a table without rows proves nothing"
    take(studio, folder)
    restored = restore(other, folder)
    after = everything(other)
    assert restored.rows == sum(len(rows) for rows in before.values())
    [requeued] = [job for job in after["generation_jobs"] if job["id"] == running.id]
    [was] = [job for job in before["generation_jobs"] if job["id"] == running.id]
    assert (requeued["status"], requeued["claim_token"], requeued["attempts"]) == (JobStatus.QUEUED, None, 0)
    assert restored.requeued == 1
    before["generation_jobs"].remove(was)
    after["generation_jobs"].remove(requeued)
    assert after == before
    kept = {key for key in bytes_before if key in blobs_of(other)}
    assert len(kept) == 3
    assert blobs_of(other) == {key: bytes_before[key] for key in kept}  # the deleted sample's stay behind
    schema.require_current(other.engine)


def test_a_studio_that_holds_anything_is_left_alone(
    studio: Studio, folder: BackupFolder, other: Studio
) -> None:
    fill(studio)
    take(studio, folder)
    restore(other, folder)
    with other.work() as work:
        add_prompt(work.session)
    before = everything(other)
    with pytest.raises(Conflict, match="--replace"):
        restore(other, folder)
    assert everything(other) == before


def test_a_studio_that_is_filled_meanwhile_is_left_alone(
    studio: Studio, folder: BackupFolder, other: Studio
) -> None:
    fill(studio)
    take(studio, folder)
    filled: list[bool] = []

    def fill_once(_: int) -> None:
        if blobs_of(other) and not filled:  # its emptiness was looked at before
            filled.append(True)
            schema.upgrade(other.engine, backups=other.settings.home, now=other.clock())
            with other.work() as work:
                add_prompt(work.session)

    with pytest.raises(Conflict, match="while the bytes"):
        restore(other, folder, watch=fill_once)
    assert filled
    assert len(everything(other)["prompts"]) == 1


def test_what_is_replaced_can_be_put_back(
    studio: Studio, folder: BackupFolder, other: Studio, tmp_path: Path
) -> None:
    fill(studio)
    take(studio, folder)
    restore(other, folder)
    with other.work() as work:
        add_prompt(work.session)
    changed, changed_bytes = everything(other), blobs_of(other)
    aside = tmp_path / "aside"
    assert restore(other, folder, aside=aside).aside == aside
    assert len(everything(other)["prompts"]) == len(changed["prompts"]) - 1
    restore(other, BackupFolder(aside), aside=tmp_path / "aside again")
    assert (everything(other), blobs_of(other)) == (changed, changed_bytes)
    shared = [path for path in (aside / "blobs" / "audio").rglob("*.flac") if path.stat().st_nlink > 1]
    assert len(shared) == 1  # one disk need not hold the bytes twice


def test_a_studio_at_work_is_not_replaced(
    studio: Studio, folder: BackupFolder, clock: Clock, tmp_path: Path
) -> None:
    fill(studio)
    take(studio, folder)
    clock.advance(3600)
    with studio.work() as work:
        models.announce(work, noise_info(), worker="host:2", capacity=4)
    before = everything(studio)
    with pytest.raises(Conflict, match="host:2"):
        restore(studio, folder, aside=tmp_path / "aside")
    assert everything(studio) == before
    clock.advance(31)
    restore(studio, folder, aside=tmp_path / "aside")


def test_a_damaged_backup_touches_nothing(studio: Studio, folder: BackupFolder, other: Studio) -> None:
    fill(studio)
    take(studio, folder)
    [flac] = (folder.root / "blobs" / "audio").rglob("*.flac")
    flac.write_bytes(flac.read_bytes()[:-1] + b"x")
    with pytest.raises(BackupDamaged, match="damaged"):
        restore(other, folder)
    assert blobs_of(other) == {}
    assert sa.inspect(other.engine).get_table_names() == []


def test_a_snapshot_of_a_newer_version_is_refused(
    studio: Studio, folder: BackupFolder, other: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(studio, folder)
    monkeypatch.setattr(schema, "is_known", lambda _: False)
    with pytest.raises(SchemaTooNew, match="newer version"):
        restore(other, folder)
    assert sa.inspect(other.engine).get_table_names() == []


def test_damaged_bytes_of_the_studio_are_healed(
    studio: Studio, folder: BackupFolder, clock: Clock, tmp_path: Path
) -> None:
    fill(studio)
    before = blobs_of(studio)
    take(studio, folder)
    [sample] = samples(studio)
    damaged, gone = studio.blobs.link(sample.storage_path), studio.blobs.link(sample.codes_path)
    assert isinstance(damaged, Path)
    assert isinstance(gone, Path)
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    gone.unlink()
    clock.advance(3600)
    restore(studio, folder, aside=tmp_path / "aside")
    assert blobs_of(studio) == before


def samples(studio: Studio) -> list[AudioSample]:
    with studio.read() as reader:
        return list(reader.session.scalars(sa.select(AudioSample)))


def test_a_restore_that_breaks_in_the_middle_leaves_the_old_studio(
    studio: Studio, folder: BackupFolder, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(studio)
    take(studio, folder)
    clock.advance(3600)
    with studio.work() as work:
        add_prompt(work.session)
    before = everything(studio)
    filled = list[str]()

    def break_late(*arguments: object) -> int:
        if len(filled) == 5:
            raise KeyboardInterrupt
        filled.append("")
        return fill_table(*arguments)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(restoring, "fill_table", break_late)
    with pytest.raises(KeyboardInterrupt):
        restore(studio, folder, aside=tmp_path / "aside")
    assert everything(studio) == before


def test_a_full_disk_leaves_nothing_half_restored(
    studio: Studio, folder: BackupFolder, tmp_path: Path
) -> None:
    fill(studio)
    take(studio, folder)
    with small_disk(tmp_path / "disk", megabytes=1) as disk:
        other = empty_studio(disk / "home")
        (disk / "ballast").write_bytes(b"x" * 850_000)
        with pytest.raises(StorageFull):
            restore(other, folder)
        (disk / "ballast").unlink()
        restore(other, folder)
        assert len(everything(other)["audio_samples"]) == 1
        other.engine.dispose()
