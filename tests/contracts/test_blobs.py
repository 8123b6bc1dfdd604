"""The contract of `BlobStore`, held against every backend by one suite."""

import datetime as dt
import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import httpx2
import obstore
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.object_store import ObjectStore
from text2song.blobs.local import LocalBlobs
from text2song.blobs.memory import MemoryBlobs
from text2song.blobs.objects import ObjectBlobs
from text2song.errors import BlobCorrupt, BlobMissing, InvalidInput, RangeUnsatisfiable

ABSENT = f"audio/ab/ab{'0' * 62}.flac"


@pytest.fixture(params=["local", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectBlobs:
    if request.param == "local":
        return LocalBlobs(tmp_path / "blobs é #1")
    if request.param == "memory":
        return MemoryBlobs()
    server: ObjectStore = request.getfixturevalue("object_store")
    return server.open()


def test_what_is_put_is_read(store: ObjectBlobs) -> None:
    stored = store.put(b"abc", folder="audio", suffix=".flac")

    sha256 = hashlib.sha256(b"abc").hexdigest()
    assert (stored.size_bytes, stored.sha256) == (3, sha256)
    assert stored.key == f"audio/{sha256[:2]}/{sha256}.flac"
    assert store.read(stored.key) == store.read(stored.key, verify=True) == b"abc"


@pytest.mark.parametrize("size_bytes", [0, 1, 300_000, 6_000_000, 20_000_000])
def test_a_file_is_put_like_its_bytes(store: ObjectBlobs, tmp_path: Path, size_bytes: int) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * (size_bytes // 256) + b"x" * (size_bytes % 256))

    stored = store.put(source, folder="audio", suffix=".flac")

    assert stored.size_bytes == size_bytes
    assert store.read(stored.key, verify=True) == source.read_bytes()
    assert store.put(source.read_bytes(), folder="audio", suffix=".flac") == stored


def test_a_source_file_that_is_missing_is_not_a_missing_blob(store: ObjectBlobs, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        store.put(tmp_path / "none", folder="audio", suffix=".flac")


def test_the_same_bytes_are_one_blob(store: ObjectBlobs) -> None:
    first = store.put(b"same", folder="audio", suffix=".flac")
    written_at = store.stat(first.key).modified_at

    assert store.put(b"same", folder="audio", suffix=".flac") == first
    assert [stat.key for stat in store.list("audio")] == [first.key]
    assert store.stat(first.key).modified_at == written_at


def test_folder_and_suffix_tell_blobs_apart(store: ObjectBlobs) -> None:
    keys = {
        store.put(b"same", folder=folder, suffix=suffix).key
        for folder in ("audio", "codes")
        for suffix in (".flac", ".safetensors")
    }

    assert len(keys) == 4
    assert {stat.key for folder in ("audio", "codes") for stat in store.list(folder)} == keys


def test_every_range_is_a_slice_or_an_error(store: ObjectBlobs) -> None:
    data = b"0123456789"
    key = store.put(data, folder="audio", suffix=".flac").key
    for start in range(-1, 13):
        for end in (None, *range(-1, 13)):
            if 0 <= start <= 10 and (end is None or end >= start):
                expected = data[start:end]
                assert store.read(key, start=start, end=end) == expected
                assert store.read(key, start=start, end=end, verify=True) == expected
                assert b"".join(store.stream(key, start=start, end=end)) == expected
            else:
                for read in (store.read, store.stream):
                    with pytest.raises(RangeUnsatisfiable, match="the file has 10") as caught:
                        read(key, start=start, end=end)
                    assert caught.value.size_bytes == 10
                with pytest.raises(RangeUnsatisfiable):
                    store.read(key, start=start, end=end, verify=True)


def test_an_empty_blob_is_a_blob(store: ObjectBlobs) -> None:
    key = store.put(b"", folder="audio", suffix=".flac").key

    assert store.stat(key).size_bytes == 0
    assert store.read(key) == store.read(key, start=0, end=9) == store.read(key, verify=True) == b""
    assert list(store.stream(key)) == []
    with pytest.raises(RangeUnsatisfiable):
        store.read(key, start=1)


@pytest.mark.parametrize("chunk_bytes", [1, 4096, 8192, 100_000, 256 * 1024, 10**7])
def test_a_stream_is_the_blob_in_bounded_chunks(store: ObjectBlobs, chunk_bytes: int) -> None:
    data = hashlib.shake_256(b"seed").digest(50_000 if chunk_bytes == 1 else 700_001)
    key = store.put(data, folder="audio", suffix=".flac").key

    chunks = list(store.stream(key, start=3, end=len(data) - 5, chunk_bytes=chunk_bytes))

    assert b"".join(chunks) == data[3:-5]
    assert {len(chunk) for chunk in chunks} <= set(range(1, chunk_bytes + 1))


def test_chunks_have_a_size(store: ObjectBlobs) -> None:
    key = store.put(b"abc", folder="audio", suffix=".flac").key
    with pytest.raises(ValueError, match="chunk_bytes"):
        store.stream(key, chunk_bytes=0)


def test_a_blob_deleted_meanwhile_is_streamed_to_its_end(store: ObjectBlobs) -> None:
    data = hashlib.shake_256(b"seed").digest(700_001)
    key = store.put(data, folder="audio", suffix=".flac").key
    stream = store.stream(key, chunk_bytes=10_000)

    first = next(stream)
    store.delete(key)

    assert first + b"".join(stream) == data


def test_a_missing_blob_is_told_before_the_first_chunk(store: ObjectBlobs) -> None:
    for ask in (
        lambda: store.read(ABSENT),
        lambda: store.read(ABSENT, start=2, end=5),
        lambda: store.read(ABSENT, start=2, end=2),
        lambda: store.read(ABSENT, verify=True),
        lambda: store.stream(ABSENT),
        lambda: store.stream(ABSENT, start=7),
        lambda: store.stat(ABSENT),
    ):
        with pytest.raises(BlobMissing, match=ABSENT):
            ask()
    assert not store.exists(ABSENT)


def test_deleting_twice_is_deleting_once(store: ObjectBlobs) -> None:
    key = store.put(b"abc", folder="audio", suffix=".flac").key
    other = store.put(b"other", folder="audio", suffix=".flac").key

    store.delete(key)
    store.delete(key)

    assert not store.exists(key)
    assert [stat.key for stat in store.list("audio")] == [other]
    assert store.read(store.put(b"abc", folder="audio", suffix=".flac").key) == b"abc"


def test_the_time_of_a_blob_is_utc(store: ObjectBlobs) -> None:
    before = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=2)

    stat = store.stat(store.put(b"abc", folder="audio", suffix=".flac").key)

    assert stat.modified_at.utcoffset() == dt.timedelta(0)
    assert before < stat.modified_at < dt.datetime.now(dt.UTC) + dt.timedelta(seconds=2)


def test_a_list_goes_on_behind_its_first_page(store: ObjectBlobs) -> None:
    """The object store answers in pages of 50."""
    stored = {
        (s.key, s.size_bytes)
        for s in (store.put(b"x" * n, folder="audio", suffix=".flac") for n in range(120))
    }
    store.put(b"elsewhere", folder="audio-old", suffix=".flac")

    assert {(stat.key, stat.size_bytes) for stat in store.list("audio")} == stored
    assert list(store.list("nothing-here")) == []


def test_foreign_files_are_passed_over(store: ObjectBlobs) -> None:
    key = store.put(b"abc", folder="audio", suffix=".flac").key
    for name in ("audio/README.txt", f"{key}.tmp.part.x", "audio/ab/short.flac"):
        obstore.put(store._backend, name, b"foreign")

    assert [stat.key for stat in store.list("audio")] == [key]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "audio",
        "/etc/passwd",
        "../../etc/passwd",
        f"audio/../audio/ab/ab{'0' * 62}.flac",
        f"/{ABSENT}",
        f"{ABSENT}/",
        f"{ABSENT}\n",
        f"audio/cd/ab{'0' * 62}.flac",
        f"audio/ab/AB{'0' * 62}.flac",
        f"música/ab/ab{'0' * 62}.flac",
        "audio/ab/ab" + "\u0660" * 62 + ".flac",
        f"audio\\ab\\ab{'0' * 62}.flac",
        f".staging/ab/ab{'0' * 62}.flac",
        f"audio/ab/ab{'0' * 62}",
    ],
)
def test_what_is_no_key_reaches_no_backend(store: ObjectBlobs, name: str) -> None:
    for ask in (store.read, store.stream, store.stat, store.exists, store.delete, store.link):
        with pytest.raises(InvalidInput, match="not the key of a stored file"):
            ask(name)


@pytest.mark.parametrize("folder", ["", ".", "..", "a/b", "/a", "música", ".staging", "Audio", "a" * 64])
def test_a_folder_is_one_plain_name(store: ObjectBlobs, folder: str) -> None:
    with pytest.raises(ValueError, match="folder"):
        store.put(b"abc", folder=folder, suffix=".flac")
    with pytest.raises(ValueError, match="folder"):
        list(store.list(folder))


@pytest.mark.parametrize("suffix", ["", "flac", ".", "./../x", ".é", ".a.b.c", ".FLAC", ".flac\n"])
def test_a_suffix_is_a_dot_and_a_plain_name(store: ObjectBlobs, suffix: str) -> None:
    with pytest.raises(ValueError, match="blob key"):
        store.put(b"abc", folder="audio", suffix=suffix)
    assert list(store.list("audio")) == []


@pytest.mark.parametrize(
    "damage", [lambda d: d[:-1] + b"?", lambda d: d[:-1], lambda d: d + b"?", lambda _: b""]
)
def test_damage_is_found_when_asked_for(store: ObjectBlobs, damage: Callable[[bytes], bytes]) -> None:
    key = store.put(b"the bytes", folder="audio", suffix=".flac").key
    obstore.put(store._backend, key, damage(b"the bytes"))

    assert store.read(key) == damage(b"the bytes")
    for end in (None, 1):
        with pytest.raises(BlobCorrupt, match=key):
            store.read(key, end=end, verify=True)


def test_threads_that_put_the_same_bytes_never_show_half(store: ObjectBlobs) -> None:
    data = hashlib.shake_256(b"seed").digest(2_000_000)
    key = store.put(data, folder="audio", suffix=".flac").key
    store.delete(key)
    start, is_over = threading.Barrier(6), threading.Event()

    def put() -> str:
        start.wait()
        return store.put(data, folder="audio", suffix=".flac").key

    def read() -> int:
        start.wait()
        while not store.exists(key) and not is_over.is_set():
            pass
        return len(store.read(key, verify=True))

    with ThreadPoolExecutor(6) as pool:
        reads = [pool.submit(read) for _ in range(2)]
        puts = [pool.submit(put) for _ in range(4)]
        wait(puts)
        is_over.set()
        assert {future.result() for future in puts} == {key}
        assert {future.result() for future in reads} == {len(data)}
    assert [stat.key for stat in store.list("audio")] == [key]


@given(data=st.binary(max_size=300))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_come_back(store: ObjectBlobs, data: bytes) -> None:
    assert store.read(store.put(data, folder="audio", suffix=".bin").key, verify=True) == data


def test_a_link_leads_to_the_bytes_or_there_is_none(store: ObjectBlobs) -> None:
    link = store.link(store.put(b"abc", folder="audio", suffix=".flac").key)

    assert (link is None) == isinstance(store, MemoryBlobs)
    assert (store.link_origin is None) == (not isinstance(link, str))
    if isinstance(link, Path):
        assert link.read_bytes() == b"abc"
    if isinstance(link, str):
        assert httpx2.get(link, trust_env=False).content == b"abc"
        assert link.startswith(f"{store.link_origin}/")


def test_no_link_to_a_missing_blob_leads_anywhere(store: ObjectBlobs) -> None:
    try:
        link = store.link(ABSENT)
    except BlobMissing:
        return
    assert link is None or httpx2.get(str(link), trust_env=False).status_code == 404


def test_a_damaged_blob_of_another_size_is_replaced(store: ObjectBlobs) -> None:
    key = store.put(b"the bytes", folder="audio", suffix=".flac").key
    obstore.put(store._backend, key, b"the")

    store.put(b"the bytes", folder="audio", suffix=".flac")

    assert store.read(key, verify=True) == b"the bytes"


def test_a_store_that_can_be_written_says_nothing_and_keeps_nothing(store: ObjectBlobs) -> None:
    store.require_writable()
    store.put(b"abc", folder="audio", suffix=".flac")
    store.require_writable()
    assert [stat.size_bytes for folder in ("audio", "peaks", "codes") for stat in store.list(folder)] == [3]
