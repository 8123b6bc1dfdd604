from pathlib import Path
from shutil import copytree

import pytest

from text2song.errors import InvalidInput, ModelMissing
from text2song.model.library import BUNDLED_PLACE, bundled_model, folder_for, list_models, resolve
from text2song.model.manifest import Manifest
from text2song.names import BUNDLED_MODEL, NOISE_MODEL


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Two whole models, one with a manifest that lies in a folder of another name, and some clutter."""
    folder = tmp_path / "models"
    for name, manifest in (
        ("facebook--musicgen-small", Manifest(id="facebook/musicgen-small", revision="4c8334b")),
        ("untrained-noise", Manifest(id="text2song/untrained-noise", license="Apache-2.0", is_trained=False)),
    ):
        (folder / name).mkdir(parents=True)
        (folder / name / "config.json").write_text("{}")
        (folder / name / "model.safetensors").write_bytes(b"weights")
        manifest.write(folder / name)
    copytree(folder / "untrained-noise", folder / ".incoming" / "half")
    (folder / "empty").mkdir()
    return folder


def test_the_list_names_every_model_and_no_clutter(models: Path) -> None:
    small, noise = list_models(models)

    assert (small.id, small.revision, small.license, small.is_trained) == (
        "facebook/musicgen-small",
        "4c8334b",
        "unknown",
        True,
    )
    assert (noise.id, noise.is_trained, noise.size_bytes, noise.problem) == (
        "text2song/untrained-noise",
        False,
        7,
        None,
    )
    assert noise.fingerprint is not None
    assert len(noise.fingerprint) == 64


def test_no_folder_is_an_empty_list(tmp_path: Path) -> None:
    assert list_models(tmp_path / "nowhere") == ()


def test_a_damaged_model_is_listed_with_what_is_wrong(models: Path) -> None:
    (models / "facebook--musicgen-small" / "text2song.json").write_text("{")
    (models / "untrained-noise" / "model.safetensors").unlink()

    small, noise = list_models(models)

    assert "text2song.json" in (small.problem or "")
    assert small.id == "facebook--musicgen-small"
    assert "builds its own untrained model again" in (noise.problem or "")
    assert noise.fingerprint is None


@pytest.mark.parametrize(
    ("model_id", "advice"),
    [("x/y", "`text2song model add`"), (NOISE_MODEL, "builds its own untrained model")],
)
def test_a_model_whose_bytes_changed_is_listed_as_such(models: Path, model_id: str, advice: str) -> None:
    Manifest(id=model_id, fingerprint="0" * 64).write(models / "untrained-noise")
    problem = list_models(models)[1].problem or ""
    assert "not what they were" in problem
    assert advice in problem


def test_what_lost_its_manifest_where_the_untrained_model_should_be_is_damaged(models: Path) -> None:
    (models / "untrained-noise" / "text2song.json").unlink()
    assert "lost its text2song.json" in (list_models(models)[1].problem or "")


def test_the_untrained_model_is_built_and_not_downloaded(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="builds it when"):
        resolve(tmp_path, NOISE_MODEL)


def test_the_bundled_model_is_read_in_the_package_whatever_the_library_holds(models: Path) -> None:
    Manifest(id=BUNDLED_MODEL).write(models / "facebook--musicgen-small")
    assert resolve(models, BUNDLED_MODEL) == BUNDLED_PLACE
    assert bundled_model().vocabulary is not None


def test_a_model_is_found_by_its_id_whatever_its_folder_is_called(models: Path) -> None:
    assert resolve(models, "facebook/musicgen-small") == models / "facebook--musicgen-small"
    assert resolve(models, "text2song/untrained-noise") == models / "untrained-noise"
    assert resolve(models, "untrained-noise") == models / "untrained-noise"


def test_a_damaged_neighbour_does_not_stop_the_search(models: Path) -> None:
    (models / "facebook--musicgen-small" / "text2song.json").write_text("{")
    assert resolve(models, "text2song/untrained-noise") == models / "untrained-noise"


def test_a_full_path_is_a_folder_anywhere(models: Path, tmp_path: Path) -> None:
    assert resolve(models, str(tmp_path)) == tmp_path
    assert resolve(models, tmp_path) == tmp_path
    with pytest.raises(ModelMissing, match="no model folder at"):
        resolve(models, tmp_path / "nowhere")


def test_a_home_folder_may_be_written_with_a_tilde(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve(models, "~/models") == models


def test_a_model_that_is_not_there_says_how_to_get_it(models: Path) -> None:
    with pytest.raises(ModelMissing, match="`text2song model add facebook/musicgen-large`"):
        resolve(models, "facebook/musicgen-large")


WRONG = [
    "",
    ".",
    "..",
    "../x",
    "a/../b",
    "a/b/c",
    "/etc",
    "a//b",
    ".incoming",
    "a b",
    "a\\b",
    "a\0b",
    "a--b",
    "ä/b",
    "a/",
    "-a",
    "a\n",
    "x" * 97,
]


@pytest.mark.parametrize("name", WRONG)
def test_a_name_that_is_no_id_is_refused(models: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="is not the id of a model"):
        folder_for(models, name)


@pytest.mark.parametrize("name", sorted(set(WRONG) - {"/etc"}))
def test_resolve_takes_no_relative_path(models: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="give its full path"):
        resolve(models, name)


@pytest.mark.parametrize("name", ["facebook/musicgen-small", "mine", "A.b_c-1/x.Y", "x" * 96])
def test_an_id_stays_inside_the_folder_of_models(models: Path, name: str) -> None:
    assert folder_for(models, name).parent == models
