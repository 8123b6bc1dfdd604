from pathlib import Path

import pytest

from text2song.artifacts.digest import sha256_hex
from text2song.backup.copying import copy_all, copy_blob, heal_blob
from text2song.backup.rows import write_lines
from text2song.blobs.local import LocalBlobs
from text2song.blobs.memory import MemoryBlobs
from text2song.blobs.store import BlobStore

DATA = b"some bytes"


@pytest.fixture(params=["files", "memory"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    """Files have a path; what is elsewhere is streamed."""
    return LocalBlobs(tmp_path / "source") if request.param == "files" else MemoryBlobs()


@pytest.fixture
def target(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "target")


def put(store: BlobStore, data: bytes = DATA) -> str:
    return store.put(data, folder="codes", suffix=".tar.gz").key


def test_a_blob_is_copied_once(source: BlobStore, target: LocalBlobs, tmp_path: Path) -> None:
    key = put(source)
    assert copy_blob(key, source=source, target=target, scratch=tmp_path) == "copied"
    assert target.read(key, verify=True) == DATA
    assert copy_blob(key, source=source, target=target, scratch=tmp_path) == "there"
    assert not list(tmp_path.glob(".passing-*"))


def test_a_blob_that_is_not_there_is_missing(source: BlobStore, target: LocalBlobs, tmp_path: Path) -> None:
    key = put(source)
    source.delete(key)
    assert copy_blob(key, source=source, target=target, scratch=tmp_path) == "missing"


def test_a_damaged_blob_is_not_copied(target: LocalBlobs, tmp_path: Path) -> None:
    source = LocalBlobs(tmp_path / "source")
    key, twin = put(source), put(source, b"other bytes")
    spoil(source, key, data=b"other bytes")
    for each in (twin, key):
        copy_blob(each, source=source, target=target, scratch=tmp_path)
    assert copy_blob(key, source=source, target=target, scratch=tmp_path) == "damaged"
    assert not target.exists(key)
    assert target.exists(twin)  # whose bytes the damaged one happens to have


def spoil(store: LocalBlobs, key: str, *, data: bytes) -> None:
    path = store.link(key)
    assert isinstance(path, Path)
    path.write_bytes(data)


def test_what_is_damaged_at_the_target_is_healed(
    source: BlobStore, target: LocalBlobs, tmp_path: Path
) -> None:
    key = put(source)
    for expected in ("copied", "there"):
        assert heal_blob(key, source=source, target=target, scratch=tmp_path) == expected
    spoil(target, key, data=b"x" * len(DATA))
    assert heal_blob(key, source=source, target=target, scratch=tmp_path) == "copied"
    assert target.read(key, verify=True) == DATA


def test_files_of_one_disk_can_share_their_bytes(target: LocalBlobs, tmp_path: Path) -> None:
    source = LocalBlobs(tmp_path / "source")
    key = put(source)
    under = tmp_path / "target"
    assert copy_blob(key, source=source, target=target, scratch=tmp_path, link_under=under) == "copied"
    assert (under / key).stat().st_nlink == 2
    source.delete(key)
    assert target.read(key, verify=True) == DATA


def test_where_files_cannot_be_shared_they_are_copied(
    target: LocalBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = LocalBlobs(tmp_path / "source")
    key = put(source)

    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    under = tmp_path / "target"
    assert copy_blob(key, source=source, target=target, scratch=tmp_path, link_under=under) == "copied"
    assert (under / key).stat().st_nlink == 1


def test_a_list_is_copied_in_pieces(
    source: BlobStore, target: LocalBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("text2song.backup.copying.PIECE", 2)
    keys = [put(source, bytes([n])) for n in range(5)]
    put(target, bytes([0]))
    absent = f"codes/ab/ab{sha256_hex(b'')[2:]}.bin"
    write_lines(tmp_path / "blobs.txt.gz", [*keys, absent])
    seen: list[int] = []
    done = copy_all(
        tmp_path / "blobs.txt.gz",
        lambda key: copy_blob(key, source=source, target=target, scratch=tmp_path),
        watch=seen.append,
    )
    assert (done.copied, done.lost, seen) == (4, {absent: "missing"}, [2, 4, 6])
