import errno
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.model.mirror import Mirror, serving
from tests.model.playing import SPEC, takes
from tests.model.test_convert import Malicious
from text2song.errors import DownloadFailed, ModelCorrupt, StorageFailed, StorageFull
from text2song.model import download
from text2song.model.download import fetch, plan
from text2song.model.library import list_models, resolve
from text2song.model.musicgen import MusicGen

ID = "facebook/musicgen-tiny"


def ignore(_: int, __: int) -> None:
    """Nobody watches."""


@pytest.fixture
def mirror(mono_folder: Path) -> Iterator[Mirror]:
    """The noise model, as somebody would have published it."""
    names = (
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "model.safetensors",
    )
    with serving(Mirror(ID, {name: (mono_folder / name).read_bytes() for name in names})) as mirror:
        yield mirror


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_PAUSES_SECONDS", (0.0, 0.0))


def bring(mirror: Mirror, models: Path) -> Path:
    return fetch(plan(ID, endpoint=mirror.endpoint), models, on_progress=ignore)


def everything_in(models: Path) -> set[str]:
    return {str(p.relative_to(models)) for p in models.rglob("*") if p.is_file()}


def test_a_model_that_was_fetched_is_listed_found_and_plays(
    mirror: Mirror, noise: MusicGen, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    wanted = plan(ID, endpoint=mirror.endpoint)

    folder = fetch(wanted, tmp_path, on_progress=lambda here, total: told.append((here, total)))

    assert folder == resolve(tmp_path, ID)
    (stored,) = list_models(tmp_path)
    assert (stored.id, stored.revision, stored.license, stored.problem) == (
        ID,
        mirror.commit,
        "cc-by-nc-4.0",
        None,
    )
    model = MusicGen.load(folder)
    assert (model.info.id, model.info.revision, model.info.is_trained) == (ID, mirror.commit, True)
    assert np.array_equal(takes(model, [SPEC])[0].codes, takes(noise, [SPEC])[0].codes)
    assert [here for here, _ in told] == sorted(here for here, _ in told)
    assert told[-1] == (wanted.size_bytes, wanted.size_bytes)
    assert {total for _, total in told} == {wanted.size_bytes}
    assert not any(p.name.endswith(".part") for p in tmp_path.rglob("*"))


def test_fetching_again_asks_for_nothing(mirror: Mirror, tmp_path: Path) -> None:
    bring(mirror, tmp_path)
    mirror.asked.clear()
    bring(mirror, tmp_path)
    assert mirror.asked == []


def test_a_broken_connection_is_taken_up_where_it_broke(mirror: Mirror, tmp_path: Path) -> None:
    mirror.cut_after_bytes, mirror.cuts_left = 2_000_000, 2

    folder = bring(mirror, tmp_path)

    assert (folder / "model.safetensors").read_bytes() == mirror.files["model.safetensors"]
    ranges = [asked for name, asked in mirror.asked if name == "model.safetensors"]
    assert ranges == [None, "bytes=2000000-", "bytes=4000000-"]


def test_a_second_call_goes_on_where_the_first_one_gave_up(mirror: Mirror, tmp_path: Path) -> None:
    mirror.cut_after_bytes, mirror.cuts_left = 1_000_000, 99
    with pytest.raises(DownloadFailed, match="goes on from there") as caught:
        bring(mirror, tmp_path)
    assert caught.value.is_retryable
    assert list_models(tmp_path) == ()  # whole or not at all
    mirror.cuts_left = 0
    mirror.asked.clear()

    folder = bring(mirror, tmp_path)

    assert mirror.asked == [("model.safetensors", "bytes=3000000-")]
    assert (folder / "model.safetensors").read_bytes() == mirror.files["model.safetensors"]


def test_ctrl_c_keeps_what_has_come(mirror: Mirror, tmp_path: Path) -> None:
    def stop(here: int, _: int) -> None:
        if here > 3_000_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(plan(ID, endpoint=mirror.endpoint), tmp_path, on_progress=stop)
    mirror.asked.clear()

    bring(mirror, tmp_path)

    ((name, asked_range),) = mirror.asked
    assert name == "model.safetensors"
    assert int((asked_range or "").removeprefix("bytes=").removesuffix("-")) > 2_900_000


def test_a_server_without_ranges_starts_the_file_again(mirror: Mirror, tmp_path: Path) -> None:
    mirror.knows_ranges = False
    mirror.cut_after_bytes, mirror.cuts_left = 2_000_000, 1
    folder = bring(mirror, tmp_path)
    assert (folder / "model.safetensors").read_bytes() == mirror.files["model.safetensors"]


def test_bytes_that_are_not_the_hubs_are_thrown_away(mirror: Mirror, tmp_path: Path) -> None:
    mirror.lies = True
    with pytest.raises(
        DownloadFailed, match=r"config\.json .* other bytes"
    ):  # small: checked by its git hash
        bring(mirror, tmp_path)
    assert {Path(name).suffix for name in everything_in(tmp_path)} == {".lock"}


def test_large_files_are_checked_too(mirror: Mirror, tmp_path: Path) -> None:
    wanted = plan(ID, endpoint=mirror.endpoint)
    mirror.files["model.safetensors"] = mirror.files["model.safetensors"][:-1] + b"?"
    with pytest.raises(DownloadFailed, match=r"model\.safetensors .* other bytes"):
        fetch(wanted, tmp_path, on_progress=ignore)
    assert not any("model.safetensors" in name for name in everything_in(tmp_path))


def test_a_part_that_is_too_long_is_thrown_away_and_fetched_again(mirror: Mirror, tmp_path: Path) -> None:
    mirror.cut_after_bytes, mirror.cuts_left = 1_000, 99
    with pytest.raises(DownloadFailed):
        bring(mirror, tmp_path)
    mirror.cuts_left = 0
    (part,) = tmp_path.rglob("*.part")
    part.write_bytes(b"?" * 20_000_000)
    with pytest.raises(DownloadFailed, match="thrown away"):
        bring(mirror, tmp_path)
    bring(mirror, tmp_path)


@pytest.mark.parametrize(("status", "attempts"), [(503, 3), (404, 1)])
def test_a_hub_in_trouble_is_asked_again_and_a_clear_no_is_not(
    mirror: Mirror, tmp_path: Path, status: int, attempts: int
) -> None:
    mirror.file_status = status
    with pytest.raises(DownloadFailed, match=f"answered {status}"):
        bring(mirror, tmp_path)
    assert len(mirror.asked) == attempts


def test_a_newer_revision_takes_the_older_ones_place(mirror: Mirror, tmp_path: Path) -> None:
    bring(mirror, tmp_path)
    mirror.commit = "b" * 40
    folder = bring(mirror, tmp_path)
    (stored,) = list_models(tmp_path)
    assert (stored.folder, stored.revision) == (folder, "b" * 40)


def test_a_damaged_model_is_brought_again(mirror: Mirror, tmp_path: Path) -> None:
    folder = bring(mirror, tmp_path)
    (folder / "model.safetensors").write_bytes(b"oh no")
    bring(mirror, tmp_path)
    assert list_models(tmp_path)[0].problem is None


def test_what_killed_processes_left_is_swept_and_another_models_part_is_not(
    mirror: Mirror, tmp_path: Path
) -> None:
    for name in ("facebook--musicgen-tiny@0123456789ab", "mine@folder", "somebody--else@0123456789ab"):
        (tmp_path / ".incoming" / name).mkdir(parents=True)
        (tmp_path / ".incoming" / name / "model.safetensors.part").write_bytes(b"half")
    bring(mirror, tmp_path)
    kept = {path.parent.name for path in (tmp_path / ".incoming").rglob("*.part")}
    assert kept == {"somebody--else@0123456789ab"}


def test_two_at_once_do_not_write_into_each_other(mirror: Mirror, tmp_path: Path) -> None:
    def second(here: int, _: int) -> None:
        if here > 1_000_000:
            with pytest.raises(DownloadFailed, match="Another process"):
                bring(mirror, tmp_path)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(plan(ID, endpoint=mirror.endpoint), tmp_path, on_progress=second)
    bring(mirror, tmp_path)  # the lock went with its holder


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_a_disk_that_is_too_small_is_noticed_before_anything_comes(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9, 70_000_000))
    with pytest.raises(StorageFull, match=r"needs 0\.07 GB more .* where 0\.07 GB are free"):
        bring(mirror, tmp_path)
    assert mirror.asked == []


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, StorageFull), (errno.EDQUOT, StorageFull), (errno.EROFS, StorageFailed)],
)
def test_a_disk_that_fails_on_the_way_is_explained(
    mirror: Mirror, tmp_path: Path, number: int, kind: type[Exception]
) -> None:
    def fail(_: int, __: int) -> None:
        raise OSError(number, "the disk says no")

    wanted = plan(ID, endpoint=mirror.endpoint)
    with pytest.raises(kind) as caught:
        fetch(wanted, tmp_path, on_progress=fail)
    assert str(tmp_path) in str(caught.value)


def test_pickled_weights_are_converted_once_and_not_kept(mirror: Mirror, tmp_path: Path) -> None:
    source = tmp_path / "model.safetensors"
    source.write_bytes(mirror.files.pop("model.safetensors"))
    torch.save(load_file(source), tmp_path / "pickled")
    mirror.files["pytorch_model.bin"] = (tmp_path / "pickled").read_bytes()

    folder = bring(mirror, tmp_path / "models")

    names = {p.name for p in folder.iterdir()}
    assert "model.safetensors" in names
    assert not any(name.endswith((".bin", ".part")) for name in names)
    takes(MusicGen.load(folder), [SPEC])


def test_a_malicious_model_is_refused_and_not_kept(mirror: Mirror, tmp_path: Path) -> None:
    mark = tmp_path / "was-here"
    del mirror.files["model.safetensors"]
    torch.save({"a": Malicious(mark)}, tmp_path / "pickled")
    mirror.files["pytorch_model.bin"] = (tmp_path / "pickled").read_bytes()

    with pytest.raises(ModelCorrupt, match="nothing of it ran"):
        bring(mirror, tmp_path / "models")

    assert not mark.exists()
    assert list_models(tmp_path / "models") == ()
    assert not any("bin" in name for name in everything_in(tmp_path / "models"))
