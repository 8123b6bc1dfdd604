"""`text2song generate` in this process: the same services, a worker, real files."""

import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile

from tests.cli.console import Console, Said
from tests.object_store import ObjectStore
from text2song.blobs.open import open_store
from text2song.sound.files import read_tags

SHORT = ("--duration", "1", "--seed", "7")


@pytest.fixture(scope="module")
def first(furnished: Console, tmp_path_factory: pytest.TempPathFactory) -> tuple[Said, Path]:
    """A first take, for the tests that need one."""
    folder = tmp_path_factory.mktemp("first")
    said = furnished.run(
        "generate", "a slow walk home", *SHORT, "--takes", "2", "--out", f"{folder}/take.flac", "--json"
    )
    return said, folder


def stored_id(said: Said) -> str:
    audio_id: str = said.document()["files"][0]["audio_id"]
    return audio_id


def test_words_become_files_of_the_asked_length(first: tuple[Said, Path]) -> None:
    said, folder = first
    assert said.code == 0, said.err
    assert sorted(p.name for p in folder.iterdir()) == ["take-1.flac", "take-2.flac"]
    info = soundfile.info(folder / "take-1.flac")
    assert (info.format, info.duration, info.samplerate) == ("FLAC", 1.0, 32_000)
    comment = read_tags((folder / "take-1.flac").read_bytes())["comment"]
    assert "seed: 7" in comment
    assert comment.startswith("This is noise, not music")


def test_a_script_gets_the_job_and_its_files(first: tuple[Said, Path]) -> None:
    said, folder = first
    document = said.document()
    assert set(document) == {"job", "files"}
    assert document["job"]["status"] == "succeeded"
    assert [(f["take"], f["seed"], f["path"]) for f in document["files"]] == [
        (1, 7, f"{folder}/take-1.flac"),
        (2, 8, f"{folder}/take-2.flac"),
    ]


def test_untrained_noise_is_said_on_standard_error(first: tuple[Said, Path]) -> None:
    assert "This model is untrained" in first[0].err


def test_progress_is_told_in_lines_where_there_is_no_terminal(first: tuple[Said, Path]) -> None:
    lines = first[0].err.splitlines()
    assert lines[-1] == "done"
    assert "\r" not in first[0].err


@pytest.mark.parametrize(("ending", "container"), [("wav", "WAV"), ("mp3", "MP3"), ("ogg", "OGG")])
def test_the_ending_says_the_format(furnished: Console, tmp_path: Path, ending: str, container: str) -> None:
    out = tmp_path / f"take.{ending}"
    said = furnished.run("generate", "hello", *SHORT, "--out", str(out))
    assert said.code == 0
    assert re.fullmatch(
        rf"Take 1, seed 7, 1\.0 s: {re.escape(str(out))} \(sample [0-9a-f-]{{36}}\)\n", said.out
    )
    assert soundfile.info(out).format == container


def test_without_a_file_the_take_stays_in_the_studio(furnished: Console) -> None:
    said = furnished.run("generate", "hello", *SHORT, "--json")
    [kept] = said.document()["files"]
    assert Path(kept["path"]).is_relative_to(furnished.home / "blobs")
    assert soundfile.info(kept["path"]).format == "FLAC"


def test_in_a_bucket_its_key_is_told_and_no_link(furnished: Console, object_store: ObjectStore) -> None:
    settings = object_store.settings()
    said = replace(furnished, settings=settings).run("generate", "hello", *SHORT, "--json")
    [kept] = said.document()["files"]
    blobs = open_store(settings["TEXT2SONG_BLOBS_URL"], environment=settings)
    assert blobs.read(kept["path"], verify=True).startswith(b"fLaC")
    assert "X-Amz" not in said.out + said.err


def test_a_take_is_made_again_bit_for_bit(
    furnished: Console, first: tuple[Said, Path], tmp_path: Path
) -> None:
    audio_id = stored_id(first[0])
    said = furnished.run("generate", "--from-sample", audio_id, "--out", f"{tmp_path}/again.flac", "--json")
    assert said.code == 0
    assert said.document()["from_sample"]["identical"] is True
    again, _ = soundfile.read(tmp_path / "again.flac", dtype="int32")
    before, _ = soundfile.read(first[1] / "take-1.flac", dtype="int32")
    assert (again == before).all()


def test_a_take_is_made_again_in_the_dtype_that_made_it(furnished: Console) -> None:
    made = furnished.run("generate", "hello", *SHORT, "--json", DTYPE="int8")
    audio_id = stored_id(made)
    for dtype in ("auto", "float32"):
        said = furnished.run("generate", "--from-sample", audio_id, "--json", DTYPE=dtype)
        assert said.document()["from_sample"]["identical"] is True
    other = stored_id(furnished.run("generate", "hello", *SHORT, "--json", DTYPE="float32"))
    assert codes_of(furnished, other) != codes_of(furnished, audio_id)  # or nothing was proved


def codes_of(console: Console, audio_id: str) -> str:
    with closing(sqlite3.connect(console.home / "studio.db")) as database:
        [(digest,)] = database.execute(
            "SELECT codes_sha256 FROM audio_samples WHERE id = ?", (audio_id.replace("-", ""),)
        )
    return str(digest)


def test_where_a_take_cannot_be_made_in_its_dtype_the_verdict_names_both(furnished: Console) -> None:
    audio_id = stored_id(furnished.run("generate", "hello", *SHORT, "--json", DTYPE="int8"))
    with closing(sqlite3.connect(furnished.home / "studio.db")) as database:
        database.execute(
            "UPDATE audio_samples SET provenance = json_set(provenance, '$.dtype', 'int3') WHERE id = ?",
            (audio_id.replace("-", ""),),
        )
        database.commit()
    said = furnished.run("generate", "--from-sample", audio_id, "--json", DTYPE="float32")
    assert said.code == 1
    assert said.document()["from_sample"]["differences"] == ["dtype was int3, is float32"]


def test_a_take_that_comes_out_otherwise_is_said_and_fails(furnished: Console, tmp_path: Path) -> None:
    audio_id = stored_id(furnished.run("generate", "hello", *SHORT, "--json"))
    with closing(sqlite3.connect(furnished.home / "studio.db")) as database:
        database.execute(
            "UPDATE audio_samples SET codes_sha256 = 'other', "
            "provenance = json_set(provenance, '$.versions.torch', '1.0') WHERE id = ?",
            (audio_id.replace("-", ""),),
        )
        database.commit()
    said = furnished.run("generate", "--from-sample", audio_id, "--out", f"{tmp_path}/again.flac", "--json")
    assert said.code == 1
    document = said.document()
    assert document["error"]["code"] == "model_error"
    assert document["from_sample"]["identical"] is False
    assert "torch was 1.0, is " in document["from_sample"]["differences"][0]
    assert (tmp_path / "again.flac").exists()  # what was made is kept, for comparison


def test_an_unknown_sample_is_not_found_before_a_model_is_loaded(furnished: Console) -> None:
    said = furnished.run("generate", "--from-sample", "0198c0de-0000-7000-8000-000000000000", "--json")
    assert said.code == 4
    assert said.error()["code"] == "not_found"
    assert "Loading" not in said.err


def jobs(console: Console) -> int:
    with closing(sqlite3.connect(console.home / "studio.db")) as database:
        [(count,)] = database.execute("SELECT count(*) FROM generation_jobs").fetchall()
    return int(count)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("",), "TEXT is too short"),
        (("  ",), "TEXT is empty"),
        (("x", "--tempo", "-3"), "--tempo must be 20"),
        (("x", "--top-p", "nan"), "--top-p must be a finite number"),
        (("x", "--duration", "301"), "300 seconds"),
        (("x", "--takes", "99"), "--takes must be 16"),
        (("x", "--server", "not a url"), "is not a URL"),
        (("x", "--server", "ftp://studio"), "is not a URL"),
        ((), "Say what to make"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing_behind(
    furnished: Console, arguments: tuple[str, ...], message: str
) -> None:
    before = jobs(furnished)
    said = furnished.run("generate", *arguments, "--json")
    assert said.code == 2
    assert message in said.error()["message"]
    assert jobs(furnished) == before


def test_a_file_that_exists_is_refused_before_the_work_starts(furnished: Console, tmp_path: Path) -> None:
    (tmp_path / "take.flac").write_bytes(b"mine")
    before = jobs(furnished)
    said = furnished.run("generate", "hello", *SHORT, "--out", f"{tmp_path}/take.flac")
    assert said.code == 2
    assert "exists already and was not touched" in said.err
    assert (jobs(furnished), (tmp_path / "take.flac").read_bytes()) == (before, b"mine")
    assert furnished.run("generate", "hello", *SHORT, "--out", f"{tmp_path}/take.flac", "--force").code == 0
    assert soundfile.info(tmp_path / "take.flac").format == "FLAC"


@pytest.mark.parametrize("named", ["somebody/something", "/no/such/folder"])
def test_a_model_that_is_not_here_is_named_with_what_to_do(furnished: Console, named: str) -> None:
    said = furnished.run("generate", "hello", *SHORT, "--model", named, "--json")
    assert said.code == 3
    assert said.error()["code"] == "model_missing"
    assert named in said.error()["message"]


def damaged(furnished: Console, folder: Path, **texts: str) -> Path:
    """A copy of the untrained model with other files."""
    for path in (furnished.home / "models" / "untrained-noise").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / ".text2song-fingerprint.json").unlink(missing_ok=True)
    for name, text in texts.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


@pytest.mark.parametrize("texts", [{"config_json": "{"}, {"model_safetensors": "not weights"}])
def test_a_corrupt_model_folder_is_told_as_such(
    furnished: Console, tmp_path: Path, texts: dict[str, str]
) -> None:
    folder = damaged(furnished, tmp_path, **texts)
    said = furnished.run("generate", "hello", *SHORT, "--model", str(folder), "--json")
    assert said.code == 3
    assert said.error()["code"] == "model_corrupt"
    assert "again" in said.error()["message"]


def test_another_model_may_be_named_for_once(furnished: Console, tmp_path: Path) -> None:
    folder = tmp_path / "my-model"
    folder.mkdir()
    damaged(furnished, folder)
    (folder / "text2song.json").unlink()
    said = furnished.run("generate", "hello", *SHORT, "--model", str(folder), "--json")
    assert said.code == 0
    job: dict[str, Any] = said.document()["job"]
    assert job["model"] == "my-model"
    assert "noise" in job["notice"]  # by its bytes: a lost manifest makes no music of it
