import hashlib

import pytest

from text2song.blobs.keys import digest_in, is_key, key_for, require_folder
from text2song.errors import InvalidInput

DIGEST = hashlib.sha256(b"music").hexdigest()
KEY = f"audio/{DIGEST[:2]}/{DIGEST}.flac"


@pytest.mark.parametrize("suffix", [".flac", ".tar.gz"])
def test_a_key_is_a_folder_and_a_digest_and_gives_the_digest_back(suffix: str) -> None:
    key = key_for(DIGEST, folder="audio", suffix=suffix)
    assert key == f"audio/{DIGEST[:2]}/{DIGEST}{suffix}"
    assert is_key(key)
    assert digest_in(key) == DIGEST


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/" + KEY,
        "../" + KEY,
        KEY.replace("audio", "."),
        KEY.replace("audio", "Audio"),
        KEY.replace(f"/{DIGEST[:2]}/", "/00/"),
        KEY.replace(f"/{DIGEST[:2]}/", "/"),
        KEY.upper(),
        KEY.removesuffix(".flac"),
        KEY + "/..",
        KEY + "\n",
        KEY.replace(DIGEST, DIGEST[:-1]),
        KEY.replace("/", "\\"),
    ],
)
def test_no_other_name_is_a_key(text: str) -> None:
    assert not is_key(text)
    with pytest.raises(InvalidInput, match="not the key of a stored file"):
        digest_in(text)


@pytest.mark.parametrize("folder", ["", "..", "a/b", "-a", "A", "a b"])
def test_a_folder_is_one_plain_name(folder: str) -> None:
    with pytest.raises(ValueError, match="cannot be a folder"):
        require_folder(folder)


@pytest.mark.parametrize(("sha256", "suffix"), [(DIGEST[:-1], ".flac"), (DIGEST, "flac"), (DIGEST, ".FLAC")])
def test_no_key_is_made_of_anything_else(sha256: str, suffix: str) -> None:
    with pytest.raises(ValueError, match="no blob key"):
        key_for(sha256, folder="audio", suffix=suffix)
