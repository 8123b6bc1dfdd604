from pathlib import Path

import pytest

from text2song.blobs.files import as_file, is_whole
from text2song.blobs.local import LocalBlobs
from text2song.blobs.memory import MemoryBlobs
from text2song.errors import BlobMissing


def test_a_file_is_given_as_it_is(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path / "blobs")
    key = blobs.put(b"sound", folder="audio", suffix=".flac").key
    with as_file(blobs, key, scratch=tmp_path) as path:
        assert path == tmp_path / "blobs" / key
        assert is_whole(path, key)
    assert path.read_bytes() == b"sound"


def test_what_is_elsewhere_passes_through_a_file_that_goes_again(tmp_path: Path) -> None:
    blobs = MemoryBlobs()
    key = blobs.put(b"sound", folder="audio", suffix=".flac").key
    with as_file(blobs, key, scratch=tmp_path) as path:
        assert path.parent == tmp_path
        assert path.read_bytes() == b"sound"
        path.write_bytes(b"noise")
        assert not is_whole(path, key)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(BlobMissing, match="is gone"):
        is_whole(path, key)
