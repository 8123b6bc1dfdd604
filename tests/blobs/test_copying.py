from collections.abc import Iterator
from pathlib import Path

import pytest

from text2song.artifacts.digest import sha256_hex
from text2song.blobs import copying
from text2song.blobs.copying import CopiedBlobs, copy
from text2song.blobs.local import LocalBlobs
from text2song.blobs.memory import MemoryBlobs
from text2song.blobs.store import LINK_SECONDS, BlobStat, BlobStore, StoredBlob
from text2song.errors import BlobCorrupt, StorageFailed

FOLDERS = ("audio", "codes")


@pytest.fixture(name="source")
def fill(tmp_path: Path) -> LocalBlobs:
    """Files: more than one piece of them, an empty one, and one that is in none of the folders."""
    blobs = LocalBlobs(tmp_path / "source")
    for number in range(copying.PIECE + 10):
        blobs.put(f"sound {number}".encode(), folder="audio", suffix=".flac")
    blobs.put(b"", folder="codes", suffix=".tar.gz")
    blobs.put(b"nobody's", folder="elsewhere", suffix=".txt")
    return blobs


def keys(store: BlobStore) -> set[str]:
    return {stat.key for folder in (*FOLDERS, "elsewhere") for stat in store.list(folder)}


def wanted(source: BlobStore) -> set[str]:
    return {key for key in keys(source) if not key.startswith("elsewhere")}


def damage(root: Path, key: str, *, content: bytes) -> None:
    (root / key).chmod(0o644)
    (root / key).write_bytes(content)


def test_everything_goes_there_and_back(source: LocalBlobs, tmp_path: Path) -> None:
    away, back = MemoryBlobs(), LocalBlobs(tmp_path / "back")
    told: list[CopiedBlobs] = []
    done = copy(source, away, folders=FOLDERS, watch=told.append)
    assert (done.copied, done.kept, done.damaged) == (copying.PIECE + 11, 0, ())
    assert done.copied_bytes == sum(stat.size_bytes for folder in FOLDERS for stat in source.list(folder))
    assert told[-1] == done
    assert len(told) == 3
    copy(away, back, folders=FOLDERS)
    assert keys(back) == keys(away) == wanted(source)
    for key in keys(back):
        assert back.read(key, verify=True) == source.read(key)


class Failing(MemoryBlobs):
    """Takes ten blobs, and then the connection breaks."""

    room = 10

    def put(self, data: bytes | Path, *, folder: str, suffix: str) -> StoredBlob:
        if self.room == 0:
            raise StorageFailed("the connection broke")
        self.room -= 1
        return super().put(data, folder=folder, suffix=suffix)


def test_what_was_broken_off_goes_on_where_it_was(source: LocalBlobs) -> None:
    target = Failing()
    with pytest.raises(StorageFailed):
        copy(source, target, folders=FOLDERS)
    there = len(keys(target))
    target.room = -1
    done = copy(source, target, folders=FOLDERS)
    assert 0 < there < copying.PIECE
    assert (done.copied, done.kept) == (copying.PIECE + 11 - there, there)
    again = copy(source, target, folders=FOLDERS)
    assert (again.copied, again.copied_bytes, again.kept) == (0, 0, copying.PIECE + 11)


def test_damaged_files_are_named_and_all_others_are_copied(source: LocalBlobs, tmp_path: Path) -> None:
    bad = sorted(stat.key for stat in source.list("audio"))[:5]
    for key in bad:
        damage(tmp_path / "source", key, content=b"other bytes")
    target = MemoryBlobs()
    with pytest.raises(BlobCorrupt, match=r"and 2 more.*Restore them") as error:
        copy(source, target, folders=FOLDERS)
    assert any(key in error.value.message for key in bad)
    assert keys(target) == wanted(source) - set(bad)


@pytest.mark.parametrize("content", [b"short", b"7 dnuos"], ids=["another size", "the same size"])
def test_a_damaged_file_in_the_new_place_is_replaced(
    source: LocalBlobs, tmp_path: Path, content: bytes
) -> None:
    target = LocalBlobs(tmp_path / "target")
    copy(source, target, folders=FOLDERS)
    digest = sha256_hex(b"sound 7")
    key = f"audio/{digest[:2]}/{digest}.flac"
    damage(tmp_path / "target", key, content=content)
    is_seen_by_its_size = len(content) != len(b"sound 7")
    assert copy(source, target, folders=FOLDERS).copied == int(is_seen_by_its_size)
    assert copy(source, target, folders=FOLDERS, verifies_all=True).copied == int(not is_seen_by_its_size)
    assert target.read(key, verify=True) == b"sound 7"


class Lying(MemoryBlobs):
    """Gives other bytes than it was given."""

    def stream(
        self, key: str, *, start: int = 0, end: int | None = None, chunk_bytes: int = 1
    ) -> Iterator[bytes]:
        del key, start, end, chunk_bytes
        return iter((b"other bytes",))


def test_what_the_new_place_keeps_is_read_there_and_compared(source: LocalBlobs) -> None:
    with pytest.raises(BlobCorrupt, match="damaged"):
        copy(source, Lying(), folders=FOLDERS)


class Vanishing(LocalBlobs):
    """Lists a blob that is deleted before it is read."""

    def list(self, folder: str) -> Iterator[BlobStat]:
        for stat in super().list(folder):
            self.delete(stat.key)
            yield stat


class VanishingLater(LocalBlobs):
    """Links to a file that is deleted before it is opened."""

    def link(self, key: str, *, expires_seconds: int = LINK_SECONDS) -> Path | str | None:
        link = super().link(key, expires_seconds=expires_seconds)
        self.delete(key)
        return link


@pytest.mark.parametrize("kind", [Vanishing, VanishingLater])
def test_what_is_deleted_meanwhile_is_passed_over(tmp_path: Path, kind: type[LocalBlobs]) -> None:
    source = kind(tmp_path / "source")
    source.put(b"sound", folder="audio", suffix=".flac")
    target = MemoryBlobs()
    assert copy(source, target, folders=FOLDERS) == CopiedBlobs()
    assert keys(target) == set()
