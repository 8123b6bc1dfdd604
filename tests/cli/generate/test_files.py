import errno
import os
from pathlib import Path

import pytest

from text2song.cli.generate.files import plan_files
from text2song.errors import InvalidInput, StorageFailed, StorageFull


def test_one_take_has_the_name_that_was_given(tmp_path: Path) -> None:
    plan = plan_files(tmp_path / "take.flac", takes=1, is_forced=False)
    assert plan.write(0, b"sound") == tmp_path / "take.flac"
    assert (tmp_path / "take.flac").read_bytes() == b"sound"
    assert [p.name for p in tmp_path.iterdir()] == ["take.flac"]


def test_several_takes_are_numbered(tmp_path: Path) -> None:
    plan = plan_files(tmp_path / "my take.OGG", takes=3, is_forced=False)
    assert plan.into.name == "ogg"
    assert [p.name for p in plan.paths] == ["my take-1.OGG", "my take-2.OGG", "my take-3.OGG"]
    assert plan.write(2, b"c") == tmp_path / "my take-3.OGG"


@pytest.mark.parametrize("name", ["take", "take.", ".flac", "take.aac", "take.flac.zip"])
def test_a_name_without_a_known_format_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="flac"):
        plan_files(tmp_path / name, takes=1, is_forced=False)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"there is no folder .*nowhere"):
        plan_files(tmp_path / "nowhere" / "take.flac", takes=1, is_forced=False)


def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "take.flac").mkdir()
    with pytest.raises(InvalidInput, match="is a folder"):
        plan_files(tmp_path / "take.flac", takes=1, is_forced=True)


def test_nothing_is_overwritten_unless_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "take-2.wav").write_bytes(b"mine")
    with pytest.raises(InvalidInput, match=r"take-2\.wav exists already and was not touched.*--force"):
        plan_files(tmp_path / "take.wav", takes=2, is_forced=False)
    plan_files(tmp_path / "take.wav", takes=2, is_forced=True).write(1, b"new")
    assert (tmp_path / "take-2.wav").read_bytes() == b"new"


def test_a_file_that_came_meanwhile_is_not_overwritten_either(tmp_path: Path) -> None:
    plan = plan_files(tmp_path / "take.flac", takes=1, is_forced=False)
    (tmp_path / "take.flac").write_bytes(b"mine")
    with pytest.raises(InvalidInput, match=r"came into being meanwhile.*kept in the studio"):
        plan.write(0, b"new")
    assert (tmp_path / "take.flac").read_bytes() == b"mine"
    assert [p.name for p in tmp_path.iterdir()] == ["take.flac"]


def test_where_there_are_no_hard_links_nothing_is_overwritten_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", str(self), None, str(target))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    plan = plan_files(tmp_path / "take.flac", takes=1, is_forced=False)
    plan.write(0, b"sound")
    with pytest.raises(InvalidInput, match="meanwhile"):
        plan.write(0, b"again")
    assert (tmp_path / "take.flac").read_bytes() == b"sound"


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, StorageFull), (errno.EDQUOT, StorageFull), (errno.EIO, StorageFailed)]
)
def test_a_disk_that_fails_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    def fail(_: int) -> None:
        raise OSError(number, "the disk says no")

    plan = plan_files(tmp_path / "take.flac", takes=1, is_forced=False)
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(kind, match="The take is kept in the studio"):
        plan.write(0, b"sound")
    assert list(tmp_path.iterdir()) == []
