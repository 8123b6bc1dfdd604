"""A folder comes into the library as a download does; what the command line makes of it is in tests/cli."""

import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from text2song.errors import Conflict, DownloadFailed, InvalidInput, StorageFull
from text2song.model.adopt import adopt, plan_folder
from text2song.model.incoming import COPY_REVISION, alone_in, incoming_for
from text2song.model.library import list_models
from text2song.model.manifest import MANIFEST_NAME


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def folder(mono_folder: Path, tmp_path: Path) -> Path:
    """A model somewhere on this machine, without a manifest."""
    return Path(
        shutil.copytree(mono_folder, tmp_path / "my-model", ignore=shutil.ignore_patterns(MANIFEST_NAME))
    )


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def ignore(_: int, __: int) -> None:
    """Nobody watches."""


def test_a_folder_comes_whole_and_twice_is_once(folder: Path, models: Path) -> None:
    told: list[tuple[int, int]] = []
    wanted = plan_folder(folder)
    for _ in range(2):
        adopt(wanted, models, on_progress=lambda here, total: told.append((here, total)))
    (stored,) = list_models(models)
    assert (stored.id, stored.revision, stored.license, stored.problem) == (
        "my-model",
        "local",
        "unknown",
        None,
    )
    assert told[-1] == (wanted.size_bytes, wanted.size_bytes)
    assert [here for here, _ in told[:-1]] == sorted(here for here, _ in told[:-1])


def test_two_at_once_do_not_write_into_each_other(folder: Path, models: Path) -> None:
    wanted = plan_folder(folder)
    with (
        alone_in(incoming_for(models / "my-model", revision="folder")),
        pytest.raises(DownloadFailed, match=r"Another process .* Wait for it to end"),
    ):
        adopt(wanted, models, on_progress=ignore)
    adopt(wanted, models, on_progress=ignore)  # the lock went with its holder


def test_a_disk_that_is_too_small_is_noticed_before_anything_comes(
    folder: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9, 70_000_000))
    with pytest.raises(StorageFull, match=r"my-model needs 0\.07 GB more"):
        adopt(plan_folder(folder), models, on_progress=ignore)
    assert list(models.iterdir()) == []


def test_a_copy_that_breaks_off_leaves_nothing_half_made(folder: Path, models: Path) -> None:
    def stop(_: int, __: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        adopt(plan_folder(folder), models, on_progress=stop)
    assert list(models.iterdir()) == []


def test_another_model_of_that_name_is_not_overwritten(folder: Path, models: Path) -> None:
    adopt(plan_folder(folder), models, on_progress=ignore)
    with (folder / "model.safetensors").open("ab") as weights:
        weights.write(b"?")
    with pytest.raises(Conflict, match="move that folder away first"):
        adopt(plan_folder(folder), models, on_progress=ignore)
    assert list_models(models)[0].problem is None


def test_a_system_without_locks_brings_models_all_the_same(
    folder: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)  # as on Windows
    assert adopt(plan_folder(folder), models, on_progress=ignore).is_dir()


def test_the_untrained_model_and_its_name_are_refused(
    mono_folder: Path, folder: Path, tmp_path: Path
) -> None:
    namesake = tmp_path / "untrained-noise"
    folder.rename(namesake)
    for source in (mono_folder, namesake):
        with pytest.raises(InvalidInput, match=r"the studio has .* by itself"):
            plan_folder(source)


def test_what_killed_copies_left_does_not_come_along_and_does_not_stay(folder: Path, models: Path) -> None:
    incoming = incoming_for(models / "my-model", revision=COPY_REVISION)
    incoming.mkdir(parents=True)
    (incoming / "model.safetensors.index.json").write_text("{}")
    incoming_for(models / "another", revision=COPY_REVISION).mkdir()
    adopted = adopt(plan_folder(folder), models, on_progress=ignore)
    assert not (adopted / "model.safetensors.index.json").exists()
    assert list(models.iterdir()) == [adopted]
