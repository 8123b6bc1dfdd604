"""Locks, and what killed processes left; the rest is tested with adopt and download, which share it."""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from text2song.errors import DownloadFailed
from text2song.model.incoming import GIVEN_UP_SECONDS, alone_in, in_turn, incoming_for, put, sweep_beside

REVISION = "0123456789abcdef"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """Where the model is put together that this process brings."""
    return incoming_for(tmp_path / "mine", revision=REVISION)


def left(mine: Path, name: str, *, age_seconds: float = 0.0) -> Path:
    """What a process left that was killed so long ago."""
    folder = mine.with_name(name)
    folder.mkdir(parents=True)
    folder.with_name(f"{name}.lock").touch()
    (folder / "model.safetensors.part").write_bytes(b"half")
    when = time.time() - age_seconds
    for path in (folder / "model.safetensors.part", folder):
        os.utime(path, (when, when))
    return folder


def names(mine: Path) -> set[str]:
    return {path.name for path in mine.parent.iterdir()} - {mine.name, f"{mine.name}.lock"}


def swept(mine: Path) -> set[str]:
    with alone_in(mine):
        sweep_beside(mine)
        return names(mine)


def test_copies_and_other_revisions_of_this_model_go(mine: Path) -> None:
    left(mine, "yours@folder")
    left(mine, "mine@folder")
    left(mine, "mine@ba9876543210")
    mine.with_name("gone@0123456789ab.lock").touch()
    assert swept(mine) == set()


def test_another_models_download_stays_until_it_is_given_up(mine: Path) -> None:
    fresh = left(mine, "yours@0123456789ab", age_seconds=0.9 * GIVEN_UP_SECONDS)
    left(mine, "theirs@0123456789ab", age_seconds=1.1 * GIVEN_UP_SECONDS)
    assert swept(mine) == {fresh.name, f"{fresh.name}.lock"}


def test_what_somebody_works_on_stays(mine: Path) -> None:
    held = left(mine, "yours@folder")
    with alone_in(held):
        assert swept(mine) == {held.name, f"{held.name}.lock"}
    assert swept(mine) == set()


def test_where_nobody_can_tell_the_dead_from_the_living_nothing_goes(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)  # as on Windows
    left(mine, "yours@folder")
    assert "yours@folder" in swept(mine)


@pytest.mark.parametrize("is_replaced", [True, False])
def test_an_older_revision_goes_once_the_newer_one_is_in_its_place(mine: Path, *, is_replaced: bool) -> None:
    """`put` moves two folders; a process may be killed between the moves."""
    target = mine.parent.parent / "yours"
    older = mine.with_name("yours@0123456789ab.old")
    older.mkdir(parents=True)
    (older / "which").write_text("older")
    if is_replaced:
        target.mkdir()
        (target / "which").write_text("newer")
    assert swept(mine) == set()
    assert (target / "which").read_text() == ("newer" if is_replaced else "older")


def test_a_folder_that_is_gone_takes_its_lock_along(mine: Path) -> None:
    with alone_in(mine):
        mine.rmdir()
    assert list(mine.parent.parent.iterdir()) == []
    with pytest.raises(KeyboardInterrupt), alone_in(mine):
        raise KeyboardInterrupt
    assert {path.name for path in mine.parent.iterdir()} == {mine.name, f"{mine.name}.lock"}


def test_who_waited_for_a_lock_that_is_gone_holds_one_that_counts(mine: Path) -> None:
    """The first removes the lock that the second waits for; a third must not get in beside the second."""
    is_in, may_go = Event(), Event()

    def second() -> None:
        with in_turn(mine):
            is_in.set()
            assert may_go.wait(60)

    with ThreadPoolExecutor() as pool:
        with in_turn(mine):
            waiting = pool.submit(second)
            assert not is_in.wait(0.2)
            mine.rmdir()
        assert is_in.wait(60)
        with pytest.raises(DownloadFailed, match="Another process"), alone_in(mine):
            pass
        may_go.set()
        waiting.result(60)


@pytest.mark.skipif(sys.platform == "win32", reason="it syncs no folder")
def test_the_bytes_are_on_the_disk_before_the_model_is_in_its_place(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (mine / "parts").mkdir(parents=True)
    (mine / "parts" / "one").write_bytes(b"1")
    (mine / "config.json").write_bytes(b"{}")
    target, sync = mine.parent.parent / "mine", os.fsync
    before, after = set[int](), set[int]()

    def note(descriptor: int) -> None:
        (after if target.exists() else before).add(os.fstat(descriptor).st_ino)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    put(mine, target)
    assert before == {path.stat().st_ino for path in (target, *target.rglob("*"))}
    assert after == {target.parent.stat().st_ino}
