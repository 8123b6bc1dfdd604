from pathlib import Path

import pytest

from text2song.blobs.local import LocalBlobs
from text2song.blobs.open import folder_of, open_store
from text2song.errors import InvalidSetting


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


def test_s3_says_that_it_is_to_come() -> None:
    with pytest.raises(InvalidSetting, match="S3 arrives with the server deployment"):
        open_store("s3://bucket/prefix")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/srv/blobs",
        "blobs",
        "ftp://host/x",
        "file://relative/blobs",
        "file:blobs",
        "file:///srv/blobs?x=1",
        "file:///srv/a#b",
        "file:///srv/%00",
    ],
)
def test_any_other_url_says_how_to_write_it(url: str) -> None:
    with pytest.raises(InvalidSetting, match="file:///") as caught:
        open_store(url)
    assert caught.value.field == "TEXT2SONG_BLOBS_URL"
