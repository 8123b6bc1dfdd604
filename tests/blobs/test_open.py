from pathlib import Path

import pytest

from text2song.blobs.local import LocalBlobs
from text2song.blobs.open import folder_of, open_blobs, open_store
from text2song.blobs.s3 import S3Blobs
from text2song.errors import InvalidSetting
from text2song.settings import load_settings

KEY = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}


def test_a_file_url_opens_a_folder_and_makes_it(tmp_path: Path) -> None:
    folder = tmp_path / "a b#c" / "blobs é"

    store = open_store(folder.as_uri())

    assert isinstance(store, LocalBlobs)
    assert store.link(store.put(b"abc", folder="audio", suffix=".flac").key) in set(folder.rglob("*.flac"))


def test_what_is_in_memory_serves_no_studio() -> None:
    for ask in (open_store, folder_of):
        with pytest.raises(InvalidSetting, match=r"gone when the studio ends\. Use a folder") as caught:
            ask("memory://")
        assert caught.value.field == "TEXT2SONG_BLOBS_URL"


def test_looking_where_a_url_points_makes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "a b#c"
    assert folder_of(folder.as_uri()) == folder
    assert not folder.exists()


def test_an_s3_url_opens_a_bucket_and_asks_it_nothing() -> None:
    store = open_store("S3://bucket/prefix?endpoint=http://127.0.0.1:9", environment=KEY)

    assert isinstance(store, S3Blobs)
    assert store.link_origin == "http://127.0.0.1:9"


def test_the_settings_reach_the_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**KEY, "AWS_ENDPOINT_URL": "https://s3.example.org"}.items():
        monkeypatch.setenv(name, value)
    given = {"TEXT2SONG_BLOBS_URL": "s3://bucket/prefix"}

    for more, origin in (
        ({}, "https://s3.example.org"),
        ({"TEXT2SONG_BLOBS_PUBLIC_URL": "https://cdn.example.org/"}, "https://cdn.example.org"),
        ({"TEXT2SONG_BLOBS_REDIRECT": "never"}, None),
    ):
        assert open_blobs(load_settings(given | more)).link_origin == origin


@pytest.mark.parametrize(
    ("name", "value"), [("PUBLIC_URL", "https://cdn.example.org"), ("ENCRYPTION", "AES256")]
)
def test_what_only_a_bucket_can_do_is_not_asked_of_a_folder(tmp_path: Path, name: str, value: str) -> None:
    given = {"TEXT2SONG_HOME": str(tmp_path), f"TEXT2SONG_BLOBS_{name}": value}
    with pytest.raises(InvalidSetting, match="are about a bucket"):
        open_blobs(load_settings(given))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/srv/blobs",
        "blobs",
        "ftp://host/x",
        "https://id:secret@s3.example.org/bucket",
        "file://relative/blobs",
        "file:blobs",
        "file:///srv/blobs?x=1",
        "file:///srv/a#b",
        "file:///srv/%00",
        "file://[srv",
    ],
)
def test_any_other_url_says_how_to_write_it(url: str) -> None:
    with pytest.raises(InvalidSetting, match="file:///") as caught:
        open_store(url)
    assert caught.value.field == "TEXT2SONG_BLOBS_URL"
    assert "secret" not in caught.value.message
