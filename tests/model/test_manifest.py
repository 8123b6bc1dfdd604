import json
from dataclasses import replace
from pathlib import Path

import pytest

from text2song.errors import ModelCorrupt
from text2song.model.manifest import Manifest
from text2song.music.vocabulary import Vocabulary

FULL = Manifest(
    id="facebook/musicgen-small",
    revision="4c8334b",
    license="cc-by-nc-4.0",
    is_trained=True,
    vocabulary=Vocabulary(("jazz",), ("piano",), (), (60, 180), "Others are passed over."),
    fingerprint="ab" * 32,
    size_bytes=12,
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    FULL.write(tmp_path)
    assert Manifest.read(tmp_path) == FULL


def test_a_folder_without_one_is_a_local_model(tmp_path: Path) -> None:
    assert Manifest.read(tmp_path) == Manifest(id=tmp_path.name, revision="local", license="unknown")


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"id": "x"}', '{"id": "", "revision": "r", "license": "l", "is_trained": true}']
)
def test_a_damaged_one_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "text2song.json").write_text(text)
    with pytest.raises(ModelCorrupt, match=r"text2song\.json"):
        Manifest.read(tmp_path)


@pytest.mark.parametrize("vocabulary", [[], "words", {"styles": ["jazz"]}])
def test_a_vocabulary_of_another_form_is_passed_over(tmp_path: Path, vocabulary: object) -> None:
    FULL.write(tmp_path)
    path = tmp_path / "text2song.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"vocabulary": vocabulary}))
    assert Manifest.read(tmp_path) == replace(FULL, vocabulary=None)
