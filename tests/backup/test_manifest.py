import datetime as dt

import pytest

from text2song.artifacts.digest import sha256_hex
from text2song.backup import manifest as manifests
from text2song.backup.manifest import Manifest, SavedTable, WrittenFile
from text2song.errors import BackupDamaged

FILE = WrittenFile(name="users.jsonl.gz", size_bytes=3, sha256="a" * 64, lines=1)
MANIFEST = Manifest(
    text2song="0.1.0",
    schema="0001",
    taken_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    tables=(SavedTable(name="users", columns={"id": "uuid"}, file=FILE),),
    blobs=WrittenFile(name="blobs.txt.gz", size_bytes=3, sha256="b" * 64, lines=0),
    lost={"audio/ab/abc.flac": "missing"},
)


def test_what_is_written_is_read() -> None:
    assert manifests.from_bytes(manifests.to_bytes(MANIFEST), place="here") == MANIFEST


def test_a_flipped_bit_is_found() -> None:
    data = bytearray(manifests.to_bytes(MANIFEST))
    for at in range(len(data)):
        data[at] ^= 1
        with pytest.raises(BackupDamaged, match="here is damaged"):
            manifests.from_bytes(bytes(data), place="here")
        data[at] ^= 1


@pytest.mark.parametrize("name", ["../users.jsonl.gz", "/etc/passwd", "users.jsonl.gz\n", "a/b.txt.gz"])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    body = manifests.to_bytes(MANIFEST).partition(b"\n")[2].replace(b"users.jsonl.gz", name.encode())
    with pytest.raises(BackupDamaged):
        manifests.from_bytes(b"sha256:" + sha256_hex(body).encode() + b"\n" + body, place="here")


def test_a_format_of_the_future_is_told() -> None:
    body = manifests.to_bytes(MANIFEST).partition(b"\n")[2].replace(b'"format": 1', b'"format": 2')
    with pytest.raises(BackupDamaged, match="newer version"):
        manifests.from_bytes(b"sha256:" + sha256_hex(body).encode() + b"\n" + body, place="here")
