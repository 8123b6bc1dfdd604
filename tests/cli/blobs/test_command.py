import re
from dataclasses import replace
from pathlib import Path

import text2song
from tests.cli.console import Console
from tests.object_store import ObjectStore
from text2song.audio.recording import FOLDERS
from text2song.blobs.local import LocalBlobs
from text2song.cli.doctor.checks_of_state import PROBE_FOLDER

PACKAGE = Path(text2song.__file__).parent


def test_bytes_are_copied_and_what_is_there_stays(console: Console, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "new place"
    blobs = LocalBlobs(source)
    key = blobs.put(b"sound", folder="audio", suffix=".flac").key
    said = console.run("blobs", "copy", source.as_uri(), target.as_uri(), "--json")
    assert (said.code, said.document()) == (0, {"copied": 1, "bytes": 5, "kept": 0})
    assert LocalBlobs(target).read(key, verify=True) == b"sound"
    again = console.run("blobs", "copy", source.as_uri(), target.as_uri(), "--check-all")
    assert again.code == 0
    assert "1 were there already" in again.out
    assert f"TEXT2SONG_BLOBS_URL to {target.as_uri()}" in again.out


def test_damaged_bytes_end_the_command_with_their_names(console: Console, tmp_path: Path) -> None:
    source = tmp_path / "source"
    key = LocalBlobs(source).put(b"sound", folder="audio", suffix=".flac").key
    (source / key).chmod(0o644)
    (source / key).write_bytes(b"noise")
    said = console.run("blobs", "copy", source.as_uri(), (tmp_path / "target").as_uri(), "--json")
    assert said.code == 1
    assert said.error()["code"] == "blob_corrupt"
    assert key in said.error()["message"]


def test_a_bucket_is_asked_to_encrypt_what_is_copied_there(
    console: Console, tmp_path: Path, object_store: ObjectStore
) -> None:
    """Which the server of the tests cannot do, and says so."""
    LocalBlobs(tmp_path).put(b"sound", folder="audio", suffix=".flac")
    bucket = replace(console, settings=object_store.environment)
    asked = ("blobs", "copy", tmp_path.as_uri(), object_store.url())
    said = bucket.run(*asked, BLOBS_ENCRYPTION="AES256")
    assert said.code == 5, said.out
    assert "does not encrypt by AES256" in said.err
    assert bucket.run(*asked).code == 0


def test_places_that_cannot_be_are_told(console: Console, tmp_path: Path) -> None:
    here, absent = tmp_path.as_uri(), (tmp_path / "absent").as_uri()
    for source, target, code, words in (
        (absent, here, 4, "here is no folder"),
        (absent.replace("file", "FILE"), here, 4, "here is no folder"),
        (here, f"{here}/", 2, "the same place"),
        ("ftp://here", here, 3, "FROM_URL is of no known kind"),
        (here, "nowhere", 3, "TO_URL is of no known kind"),
        ("file:blobs", here, 3, "FROM_URL is 'file:blobs', which is no absolute folder"),
        (here, "memory:", 3, "TO_URL is 'memory:'"),
        ("s3://a", here, 3, "FROM_URL is no bucket"),
        (here, "s3://songs?endpoint=nowhere", 3, "TO_URL is no bucket"),
    ):
        said = console.run("blobs", "copy", source, target)
        assert said.code == code, said.err
        assert words in said.err
        assert "TEXT2SONG_BLOBS_URL" not in said.err
    assert not (tmp_path / "absent").exists()


def test_every_folder_that_the_studio_stores_bytes_in_is_copied() -> None:
    texts = [path.read_text() for path in PACKAGE.rglob("*.py")]
    named = {name for text in texts for name in re.findall(r"\bfolder=([A-Z_]+)\b", text)}
    meant = dict(
        pair for text in texts for pair in re.findall(r'^([A-Z_]+): Final = "(.*)"', text, re.MULTILINE)
    )
    assert {"AUDIO_FOLDER", "PEAKS_FOLDER", "CODES_FOLDER"} <= named
    left_behind = {meant[name] for name in named} - {*FOLDERS, PROBE_FOLDER}
    assert left_behind == set(), "folders of blobs that `blobs copy` must copy, too"
