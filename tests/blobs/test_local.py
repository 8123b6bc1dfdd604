import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from text2song.blobs.local import STAGING_FOLDER, STAGING_LIFE_SECONDS, LocalBlobs
from text2song.errors import BlobMissing, StorageFailed

PUT_FOR_EVER: Final = """
import os, sys
from pathlib import Path
from text2song.blobs.local import LocalBlobs
store = LocalBlobs(Path(sys.argv[1]))
while True:
    print(store.put(os.urandom(400_000), folder="audio", suffix=".flac").key, flush=True)
"""

FILL_THE_DISK: Final = """
import os, sys
from pathlib import Path
from text2song.blobs.local import LocalBlobs
from text2song.errors import StorageFull
store = LocalBlobs(Path(sys.argv[1], "blobs"))
keys = []
try:
    while len(keys) < 99:
        keys.append(store.put(os.urandom(150_000), folder="audio", suffix=".flac").key)
except StorageFull as error:
    print(error)
assert 0 < len(keys) < 9, len(keys)
assert not list(Path(sys.argv[1], "blobs", ".staging").iterdir()), "a half file is left"
assert sorted(s.key for s in store.list("audio")) == sorted(keys)
for key in keys:
    store.read(key, verify=True)
store.delete(keys[0])
store.put(os.urandom(150_000), folder="audio", suffix=".flac")
print("room again")
"""

WRITE_ON_A_READ_ONLY_DISK: Final = """
import subprocess, sys
from pathlib import Path
from text2song.blobs.local import LocalBlobs
from text2song.errors import StorageFailed
root = Path(sys.argv[1], "blobs")
key = LocalBlobs(root).put(b"abc", folder="audio", suffix=".flac").key
subprocess.run(["mount", "-o", "remount,ro", sys.argv[1]], check=True)
store = LocalBlobs(root)
assert store.read(key, verify=True) == b"abc"
for attempt in (lambda: store.put(b"more", folder="audio", suffix=".flac"), lambda: store.delete(key)):
    try:
        attempt()
    except StorageFailed as error:
        print(error)
"""

WRITE_BEYOND_A_LIMIT: Final = """
import os, resource, sys
from pathlib import Path
from text2song.blobs.local import LocalBlobs
from text2song.errors import StorageFailed
store = LocalBlobs(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
key = store.put(os.urandom(90_000), folder="audio", suffix=".flac").key
try:
    store.put(os.urandom(110_000), folder="audio", suffix=".flac")
except StorageFailed as error:
    print(error)
assert not list(Path(sys.argv[1], ".staging").iterdir()), "a half file is left"
assert [s.key for s in store.list("audio")] == [key]
"""


def on_a_small_disk(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `script` with a disk of one megabyte at `folder`, which only that process sees."""
    namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if not _succeeds([*namespace, *mount]):
        pytest.skip("no disk can be mounted here: run as root, or allow unprivileged user namespaces")
    shell = 'mount -t tmpfs -o size=1m tmpfs "$3" && exec "$1" -c "$2" "$3"'
    command = [*namespace, "sh", "-c", shell, "sh", sys.executable, script, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _succeeds(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def test_a_full_disk_is_told_and_loses_nothing(tmp_path: Path) -> None:
    done = on_a_small_disk(FILL_THE_DISK, tmp_path / "disk")

    assert done.returncode == 0, done.stderr
    assert f"The disk that holds {tmp_path}/disk/blobs is full" in done.stdout
    assert "free some space (0 MB free) and try again" in done.stdout
    assert "room again" in done.stdout


def test_a_read_only_disk_is_told_and_still_read(tmp_path: Path) -> None:
    done = on_a_small_disk(WRITE_ON_A_READ_ONLY_DISK, tmp_path / "disk")

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Read-only file system") == 2


def test_a_put_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WRITE_BEYOND_A_LIMIT, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "cannot be written (File too large)" in done.stdout


def test_what_put_returned_survives_kill_9(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    for round_ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", PUT_FOR_EVER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            acknowledged.append(process.stdout.readline().strip())
            time.sleep(0.03 * round_)
            process.send_signal(signal.SIGKILL)
            acknowledged += [line.strip() for line in process.stdout if line.endswith("\n")]

    store = LocalBlobs(tmp_path)
    listed = {stat.key for stat in store.list("audio")}
    assert set(acknowledged) <= listed
    for key in listed:  # also those that were not acknowledged any more: whole, or not there
        store.read(key, verify=True)


def test_what_a_killed_put_left_is_swept_when_it_is_old(tmp_path: Path) -> None:
    store = LocalBlobs(tmp_path)
    old, young = tmp_path / STAGING_FOLDER / "old", tmp_path / STAGING_FOLDER / "young"
    for path in (old, young):
        path.write_bytes(b"half")
    long_ago = time.time() - STAGING_LIFE_SECONDS - 60
    os.utime(old, (long_ago, long_ago))
    key = store.put(b"abc", folder="audio", suffix=".flac").key
    os.utime(tmp_path / key, (long_ago, long_ago))

    LocalBlobs(tmp_path)

    assert not old.exists()
    assert young.exists()
    assert store.read(key) == b"abc"


def test_a_damaged_file_of_another_size_is_healed_by_the_next_put(tmp_path: Path) -> None:
    store = LocalBlobs(tmp_path)
    key = store.put(b"abc", folder="audio", suffix=".flac").key
    (tmp_path / key).write_bytes(b"")

    store.put(b"abc", folder="audio", suffix=".flac")

    assert store.read(key, verify=True) == b"abc"


def test_one_flipped_bit_on_the_disk_is_healed_by_deleting_and_putting(tmp_path: Path) -> None:
    store = LocalBlobs(tmp_path)
    key = store.put(b"abc", folder="audio", suffix=".flac").key
    (tmp_path / key).write_bytes(b"abb")

    store.delete(key)
    store.put(b"abc", folder="audio", suffix=".flac")

    assert store.read(key, verify=True) == b"abc"


def test_a_storage_that_is_gone_is_no_missing_blob(tmp_path: Path) -> None:
    """An unmounted disk leaves an empty folder: nobody may conclude that the blobs were deleted."""
    store = LocalBlobs(tmp_path / "blobs")
    key = store.put(b"abc", folder="audio", suffix=".flac").key
    (tmp_path / "blobs").rename(tmp_path / "away")
    (tmp_path / "blobs").mkdir()

    for ask in (store.exists, store.read, store.stat, store.delete, lambda _: list(store.list("audio"))):
        with pytest.raises(StorageFailed, match="is its disk mounted"):
            ask(key)
    with pytest.raises(StorageFailed):
        store.put(b"more", folder="audio", suffix=".flac")
    (tmp_path / "blobs").rmdir()
    (tmp_path / "away").rename(tmp_path / "blobs")
    assert store.read(key) == b"abc"


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(StorageFailed, match=r"file/blobs cannot be written \(Not a directory\)"):
        LocalBlobs(tmp_path / "file" / "blobs")


def test_two_stores_on_one_folder_share_it(tmp_path: Path) -> None:
    one, other = LocalBlobs(tmp_path), LocalBlobs(tmp_path)
    key = one.put(b"abc", folder="audio", suffix=".flac").key

    assert other.read(key) == b"abc"
    other.delete(key)
    with pytest.raises(BlobMissing):
        one.read(key)
