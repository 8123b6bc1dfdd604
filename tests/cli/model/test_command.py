"""`text2song model` against the model layer's little hub."""

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.cli.console import Console
from tests.model.mirror import Mirror, serving
from text2song.cli.model import stocking
from text2song.model import download
from text2song.model.library import bundled_model, list_models
from text2song.names import BUNDLED_MODEL, NOISE_FOLDER, NOISE_MODEL

ID = "facebook/musicgen-tiny"
NAMES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "model.safetensors",
)


@pytest.fixture
def hub(_models_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """The untrained model, as somebody would have published it."""
    source = _models_folder / "untrained-noise"
    monkeypatch.setattr(download, "_PAUSES_SECONDS", ())
    with serving(Mirror(ID, {name: (source / name).read_bytes() for name in NAMES})) as mirror:
        # HF_ENDPOINT is read when the hub's client is imported, which is long ago here.
        monkeypatch.setattr(stocking, "plan", partial(download.plan, endpoint=mirror.endpoint))
        yield mirror


@pytest.fixture
def folder(_models_folder: Path, tmp_path: Path) -> Path:
    """A model somewhere on this machine, without a manifest."""
    somewhere = tmp_path / "my-model"
    somewhere.mkdir()
    for name in NAMES:
        (somewhere / name).write_bytes((_models_folder / "untrained-noise" / name).read_bytes())
    return somewhere


def pickled(folder: Path) -> Path:
    """The same folder with its weights as a pickle alone."""
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


def listed(console: Console, **settings: str) -> list[dict[str, Any]]:
    """Without the package's own, which is the first."""
    own, *models = console.run("model", "list", "--json", **settings).document()["models"]
    assert own["id"] == BUNDLED_MODEL
    return list(models)


def lines(console: Console, **settings: str) -> list[str]:
    """The same for a person."""
    said = console.run("model", "list", **settings).out.splitlines()
    return said[len(said) - said[::-1].index(f"  {note_of_bundled()}") :]


def note_of_bundled() -> str:
    """The last line of what is told of the package's own."""
    vocabulary = bundled_model().vocabulary
    assert vocabulary is not None
    return vocabulary.note


def test_a_larger_model_is_offered_where_there_is_none(console: Console) -> None:
    assert listed(console) == []
    assert lines(console) == ["Fetch a larger one with `text2song model add facebook/musicgen-small`."]


def test_size_and_licence_are_shown_and_agreed_to(console: Console, hub: Mirror) -> None:
    said = console.run("model", "add", ID, "--yes")
    assert said.code == 0, said.err
    assert said.out == f"Added. Serve it with `TEXT2SONG_MODEL={ID} make studio`.\n"
    assert "6.4 MB  model.safetensors" in said.err
    assert "Licence of the weights: cc-by-nc-4.0; it forbids commercial use of the weights." in said.err
    assert f"revision {hub.commit}" in said.err
    [model] = listed(console)
    assert (model["id"], model["license"], model["is_served"]) == (ID, "cc-by-nc-4.0", False)
    [line] = lines(console, MODEL=ID)
    assert line.startswith(ID)
    assert f"  {hub.commit}  " in line  # whole, so that it can be given to --revision
    assert line.endswith("served")


def test_a_mirror_is_named_by_the_hubs_own_variable(console: Console, hub: Mirror) -> None:
    said = replace(console, settings={"HF_ENDPOINT": hub.endpoint}).command("model", "add", ID, "--yes")
    assert said.code == 0, said.err
    assert [model["id"] for model in listed(console)] == [ID]


def test_a_script_gets_the_manifest(console: Console, hub: Mirror) -> None:
    said = console.run("model", "add", ID, "--yes", "--revision", "main", "--json")
    document = said.document()
    assert (document["id"], document["revision"]) == (ID, hub.commit)
    assert Path(document["folder"]).is_relative_to(console.home)


@pytest.mark.usefixtures("hub")
def test_where_nobody_can_be_asked_nothing_is_fetched(console: Console) -> None:
    said = console.run("model", "add", ID, "--json")
    assert said.code == 2
    assert "say --yes" in said.error()["message"]
    assert "Licence of the weights" in said.err
    assert listed(console) == []


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(("answer", "code", "count"), [("y\n", 0, 1), ("n\n", 2, 0)])
def test_a_person_is_asked(
    console: Console, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, count: int
) -> None:
    monkeypatch.setattr(stocking, "_is_somebody_there", lambda: True)
    said = console.run("model", "add", ID, text=answer)
    assert said.code == code
    assert "Fetch it?" in said.err
    assert len(listed(console)) == count


def test_a_broken_download_goes_on_where_it_stopped(console: Console, hub: Mirror) -> None:
    hub.cut_after_bytes, hub.cuts_left = 3_000_000, 1
    broken = console.run("model", "add", ID, "--yes", "--json")
    assert (broken.code, broken.error()["code"]) == (5, "download_failed")
    assert "goes on from there" in broken.error()["message"]
    assert listed(console) == []
    hub.asked.clear()
    assert console.run("model", "add", ID, "--yes").code == 0
    assert hub.asked == [("model.safetensors", "bytes=3000000-")]


def test_progress_is_told_in_tenths_where_there_is_no_terminal(console: Console, hub: Mirror) -> None:
    del hub
    said = console.run("model", "add", ID, "--yes")
    told = [line for line in said.err.splitlines() if " of 6." in line]
    assert 1 <= len(told) <= 10
    assert told[-1].startswith("6.")


@pytest.mark.usefixtures("hub")
def test_ctrl_c_keeps_what_has_come(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, on_progress: object) -> Path:
        assert callable(on_progress)
        raise KeyboardInterrupt

    monkeypatch.setattr(stocking, "fetch", interrupt)
    said = console.run("model", "add", ID, "--yes", "--json")
    assert said.code == 130
    assert "the same command goes on from there" in said.error()["message"]


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("somebody/unknown",), 4),
        ((ID, "--revision", "no-such"), 4),
        (("../escape",), 3),
        (("a/b/c",), 2),
        (("--", "-x"), 2),
        (("/no/such/folder",), 3),
    ],
)
def test_what_cannot_be_fetched_is_told(console: Console, arguments: tuple[str, ...], code: int) -> None:
    said = console.run("model", "add", "--yes", "--json", *arguments)
    assert said.code == code
    assert said.error()["message"]


def test_the_untrained_model_is_not_added_from_anywhere(furnished: Console, hub: Mirror) -> None:
    for source in (NOISE_MODEL, str(furnished.home / "models" / NOISE_FOLDER)):
        said = furnished.run("model", "add", source, "--yes", "--json")
        assert (said.code, said.error()["code"]) == (2, "invalid_input")
        assert "there is nothing to add" in said.error()["message"]
    assert hub.asked == []


def test_a_folder_is_copied_into_the_library(console: Console, folder: Path) -> None:
    (folder / "notes.txt").write_text("not the model's")
    said = console.run("model", "add", str(folder), "--yes", "--json")
    assert said.code == 0, said.err
    assert "The weights come without a licence: ask their author" in said.err
    [model] = listed(console)
    assert (model["id"], model["revision"], model["problem"]) == ("my-model", "local", None)
    assert not (Path(model["folder"]) / "notes.txt").exists()
    assert console.run("model", "add", str(folder), "--yes").code == 0  # it is there already
    assert console.run("model", "add", str(folder), "--yes", "--revision", "main").code == 2


def test_a_folder_of_pickles_is_converted(console: Console, folder: Path) -> None:
    before = load_file(folder / "model.safetensors")
    said = console.run("model", "add", str(pickled(folder)), "--yes", "--json")
    assert said.code == 0, said.err
    assert "Its weights are pickles" in said.err
    stored = Path(said.document()["folder"])
    assert sorted(p.suffix for p in stored.iterdir() if p.name.startswith(("model", "pytorch"))) == [
        ".safetensors"
    ]
    after = load_file(stored / "model.safetensors")
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_another_model_of_that_name_is_not_overwritten(console: Console, folder: Path) -> None:
    assert console.run("model", "add", str(folder), "--yes").code == 0
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"changed": True}))
    said = console.run("model", "add", str(folder), "--yes", "--json")
    assert (said.code, said.error()["code"]) == (1, "conflict")
    assert not (console.home / "models" / ".incoming").exists()


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_folder_that_is_no_model_is_refused(console: Console, folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    said = console.run("model", "add", str(folder), "--yes", "--json")
    assert (said.code, said.error()["code"]) == (3, "model_missing")
    assert list_models(console.home / "models") == ()


def test_of_two_folders_with_one_id_it_is_said_which_one_the_id_names(console: Console, folder: Path) -> None:
    assert console.run("model", "add", str(folder), "--yes").code == 0
    first = console.home / "models" / "my-model"
    copy = shutil.copytree(first, console.home / "models" / "a copy")
    assert [(m["folder"], m["is_served"], m["shadowed_by"]) for m in listed(console, MODEL="my-model")] == [
        (str(copy), False, str(first)),
        (str(first), True, None),
    ]
    assert [m["is_served"] for m in listed(console, MODEL=str(copy))] == [True, False]
    said = lines(console, MODEL="my-model")
    assert [line.startswith("my-model ") for line in said] == [True, False, True]
    assert "no licence stated" in said[0]
    assert said[0].endswith("its id is taken")
    assert f"the id names {first}. Remove one of the two folders" in said[1]
    assert f"TEXT2SONG_MODEL='{copy}'" in said[1]
    assert said[2].endswith("served")


def test_the_untrained_model_is_served_from_its_own_folder(furnished: Console) -> None:
    models = furnished.home / "models"
    shutil.copytree(models / NOISE_FOLDER, models / "a-copy")
    assert [Path(m["folder"]).name for m in listed(furnished) if m["is_served"]] == [NOISE_FOLDER]


def test_a_damaged_model_is_listed_as_such(furnished: Console) -> None:
    target = furnished.home / "models" / "broken"
    target.mkdir()
    (target / "config.json").write_text("{}")
    said = furnished.run("model", "list")
    assert said.code == 0
    assert "damaged" in said.out
    assert "untrained noise  served" in said.out


def test_without_the_model_layer_the_command_that_installs_it_is_said(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [
        n for n in sys.modules if n.startswith(("text2song.cli.model.stocking", "text2song.model.hub"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("text2song.cli.model.stocking", raising=False)
    monkeypatch.delitem(sys.modules, "text2song.model.download", raising=False)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    said = console.run("model", "add", ID, "--yes", "--json")
    assert (said.code, said.error()["code"]) == (3, "missing_part")
    assert "install your wheel with [model]" in said.error()["message"]
