"""What only a bucket does, on a real server: parts, links, refusals, and a server that dies.

What it shares with every other storage is in `contracts/test_blobs.py`.
"""

import datetime as dt
import hashlib
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import obstore
import pytest

from tests.object_store import SECRET, ObjectStore
from text2song.blobs import s3
from text2song.blobs.address import address_of
from text2song.blobs.s3 import PART_BYTES, S3Blobs, S3Options
from text2song.blobs.store import LINK_SECONDS
from text2song.errors import BlobMissing, StorageFailed

GIVEN_UP_SECONDS = 10.0
DEFAULTS = S3Options()
SOUND = hashlib.shake_256(b"seed").digest(100_000)
LARGE = SOUND * 210
"""Of three parts."""
KEY = f"audio/ab/ab{'0' * 62}.flac"
"""Where nothing is."""
ANY_KEY = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key"}


def store(url: str, environment: dict[str, str], options: S3Options = DEFAULTS) -> S3Blobs:
    return S3Blobs(address_of(url, environment), options)


def fetch(link: object, method: str = "GET", **headers: str) -> httpx2.Response:
    return httpx2.request(method, str(link), headers=headers, trust_env=False)


def put(blobs: S3Blobs, data: bytes | Path = SOUND) -> str:
    return blobs.put(data, folder="audio", suffix=".flac").key


def stored_files(server: ObjectStore) -> int:
    """Of whatever kind: also parts of what nobody can read."""
    return sum(1 for _ in server.folder.rglob("*.data"))


@pytest.mark.parametrize("is_file", [False, True], ids=["bytes", "a file"])
def test_what_is_large_goes_in_parts(object_store: ObjectStore, tmp_path: Path, *, is_file: bool) -> None:
    (tmp_path / "large").write_bytes(LARGE)
    blobs = object_store.open()

    key = put(blobs, tmp_path / "large" if is_file else LARGE)

    assert len(LARGE) > 2 * PART_BYTES
    assert str(obstore.head(blobs._backend, key)["e_tag"]).endswith('-3"')  # S3's way to say: of three parts
    assert blobs.read(key, verify=True) == LARGE


@pytest.mark.parametrize("size_bytes", [len(SOUND), len(LARGE)], ids=["whole", "in parts"])
def test_a_file_that_changes_while_it_is_stored_leaves_nothing(
    object_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size_bytes: int
) -> None:
    source, blobs = tmp_path / "source", object_store.open()
    source.write_bytes(LARGE[:size_bytes])
    before = stored_files(object_store)

    def change(_key: str, **_: object) -> bool:
        """Between the first look at the file and the upload."""
        source.write_bytes(bytes(size_bytes))
        return False

    monkeypatch.setattr(blobs, "_is_held", change)
    with pytest.raises(StorageFailed, match="changed while it was being stored"):
        put(blobs, source)
    assert list(blobs.list("audio")) == []
    assert stored_files(object_store) == before


def test_one_prefix_does_not_see_another(object_store: ObjectStore) -> None:
    one, other = object_store.open(prefix="one"), object_store.open(prefix="one-more")
    key = put(one)

    assert [blob.key for blob in one.list("audio")] == [key]
    assert list(other.list("audio")) == []
    assert not other.exists(key)


# Links


def test_a_link_is_equal_within_its_window_and_holds_beyond_what_was_asked_for(
    object_store: ObjectStore,
) -> None:
    address = address_of(object_store.url("links"), object_store.environment)
    moments = [dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC) + dt.timedelta(minutes=m) for m in range(31)]
    # each from a store of its own, as in processes of their own
    links = [S3Blobs(address, clock=lambda now=now: now).link(KEY) for now in moments]  # type: ignore[misc]

    assert [links.index(link) for link in links] == [0] * 15 + [15] * 15 + [30]
    for now, link in zip(moments, links, strict=True):
        query = parse_qs(urlsplit(str(link)).query)
        signed_at = dt.datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%S%z")
        until = signed_at + dt.timedelta(seconds=int(query["X-Amz-Expires"][0]))
        assert signed_at <= now
        assert dt.timedelta(seconds=LINK_SECONDS) <= until - now <= dt.timedelta(seconds=LINK_SECONDS * 1.25)


def test_a_link_gives_the_bytes_and_says_what_they_are(object_store: ObjectStore) -> None:
    blobs = object_store.open()
    link = blobs.link(put(blobs))

    whole = fetch(link)
    assert (whole.status_code, whole.content) == (200, SOUND)
    assert whole.headers["content-type"] == "audio/flac"
    assert {"private", "immutable"} <= set(re.split(r",\s*", whole.headers["cache-control"]))
    for asked, part in (("bytes=0-9", SOUND[:10]), ("bytes=99990-", SOUND[-10:]), ("bytes=-5", SOUND[-5:])):
        answer = fetch(link, Range=asked)
        assert (answer.status_code, answer.content) == (206, part)
        assert answer.headers["content-range"].endswith(f"/{len(SOUND)}")
    assert fetch(link, Range="bytes=100000-").status_code == 416


def test_a_link_that_somebody_changed_leads_nowhere(object_store: ObjectStore) -> None:
    blobs = object_store.open()
    key, other = put(blobs), put(blobs, b"another's")
    link = str(blobs.link(key))
    flipped = "0" if link[-1] != "0" else "1"

    for changed in (
        link[:-1] + flipped,
        link.replace(key, other),
        link.replace("X-Amz-Expires=4500", "X-Amz-Expires=604800"),
    ):
        assert fetch(changed).status_code == 403
    assert fetch(link.partition("?")[0]).status_code in {400, 401, 403}
    for method in ("PUT", "DELETE"):
        assert fetch(link, method).status_code == 403
    assert blobs.read(key) == SOUND


def test_the_server_itself_ends_a_link(object_store: ObjectStore) -> None:
    address = address_of(object_store.url(), object_store.environment)
    blobs = S3Blobs(address)
    key = put(blobs)
    now = dt.datetime.now(dt.UTC)

    def link_of(age: dt.timedelta) -> object:
        return S3Blobs(address, clock=lambda: now - age).link(
            key, expires_seconds=60
        )  # until 60 to 75 s later

    assert fetch(link_of(dt.timedelta(seconds=55))).status_code == 200
    assert fetch(link_of(dt.timedelta(seconds=80))).status_code == 403


def test_links_may_go_to_a_public_host_before_the_bucket(object_store: ObjectStore) -> None:
    """Another name of the server here, as of a proxy that keeps the Host header."""
    public_url = f"http://localhost:{object_store.port}"
    blobs = object_store.open(S3Options(public_url=public_url))
    link = str(blobs.link(put(blobs)))

    assert link.startswith(f"{public_url}/")
    assert blobs.link_origin == public_url
    assert fetch(link).content == SOUND
    assert fetch(link.replace("localhost", "127.0.0.1")).status_code == 403  # signed for that host alone


@pytest.mark.parametrize(
    ("environment", "options"),
    [(ANY_KEY, S3Options(redirects=False)), ({}, S3Options())],
    ids=["told not to", "a role"],
)
def test_there_are_no_links_where_nobody_can_sign_or_may(
    environment: dict[str, str], options: S3Options
) -> None:
    blobs = store("s3://songs", environment, options)
    assert (blobs.link(KEY), blobs.link_origin) == (None, None)


# What the server refuses


def every_question(blobs: S3Blobs) -> list[Callable[[], object]]:
    return [
        lambda: put(blobs),
        lambda: blobs.read(KEY),
        lambda: blobs.read(KEY, start=3, end=9),
        lambda: next(blobs.stream(KEY)),
        lambda: blobs.stat(KEY),
        lambda: blobs.exists(KEY),
        lambda: blobs.delete(KEY),
        lambda: list(blobs.list("audio")),
    ]


def test_each_refusal_is_told_apart_whatever_was_asked(object_store: ObjectStore) -> None:
    url, right = object_store.url(), object_store.environment
    wrong = {
        "correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY": (url, right | {"AWS_SECRET_ACCESS_KEY": "no"}),
        "is wrong": (url, right | {"AWS_ACCESS_KEY_ID": "studio:stranger"}),
        "no bucket elsewhere at http.*make it": (object_store.url(bucket="elsewhere"), right),
        "is us-east-1, not mars-1": (object_store.url(region="mars-1"), right),
    }
    for advice, (place, environment) in wrong.items():
        for ask in every_question(store(place, environment)):
            with pytest.raises(StorageFailed, match=advice) as caught:
                ask()
            assert SECRET not in caught.value.message
            assert "StringToSign" not in caught.value.message


def test_a_server_that_cannot_encrypt_says_so(object_store: ObjectStore) -> None:
    with pytest.raises(StorageFailed, match="TEXT2SONG_BLOBS_ENCRYPTION=none"):
        put(object_store.open(S3Options(encryption="aws:kms")))


@dataclass
class Listener:
    """A server that only writes down what it hears, and takes its time."""

    heard: list[str | None] = field(default_factory=list)
    """What encryption each upload asked for."""
    keys: list[str | None] = field(default_factory=list)
    """By which key of KMS."""
    seconds: float = 0.0
    """Until an upload is answered."""
    server: ThreadingHTTPServer | None = None


@pytest.fixture(name="listener")
def start_listener() -> Iterator[tuple[Listener, str]]:
    """With the URL of a bucket there."""
    listener = Listener()

    class Listening(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(404)

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            listener.heard.append(self.headers["x-amz-server-side-encryption"])
            listener.keys.append(self.headers["x-amz-server-side-encryption-aws-kms-key-id"])
            time.sleep(listener.seconds)
            self._answer(200)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("ETag", '"x"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Listening)
    listener.server = server
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield listener, f"s3://songs?endpoint=http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("encryption", ["AES256", "aws:kms"])
def test_encryption_is_asked_for_with_every_upload(
    listener: tuple[Listener, str], encryption: s3.Encryption
) -> None:
    """No server that encrypts can be run here, so this is all that can be told of it."""
    put(store(listener[1], ANY_KEY))
    put(store(listener[1], ANY_KEY, S3Options(encryption=encryption)))
    assert listener[0].heard == [None, encryption]


def test_the_environment_says_which_key_of_kms(
    listener: tuple[Listener, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SSE_KMS_KEY_ID", "key/of-the-studio")
    put(store(listener[1], ANY_KEY, S3Options(encryption="aws:kms")))
    assert listener[0].keys == ["key/of-the-studio"]


def test_a_slow_line_may_take_longer_for_an_upload_than_a_server_may_be_silent(
    listener: tuple[Listener, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "_SILENCE", dt.timedelta(seconds=0.5))
    listener[0].seconds = 1.5
    put(store(listener[1], ANY_KEY))
    assert len(listener[0].heard) == 1


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate: install it")
def test_an_authority_of_ones_own_is_trusted_where_it_is_named(
    listener: tuple[Listener, str], tmp_path: Path
) -> None:
    extensions = ("-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE")
    files = ("-keyout", tmp_path / "key.pem", "-out", tmp_path / "ca.pem")
    asked: list[str | Path] = ["openssl", "req", "-x509", "-nodes", "-subj", "/CN=127.0.0.1"]
    subprocess.run([*asked, *extensions, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "ca.pem", tmp_path / "key.pem")
    assert listener[0].server
    listener[0].server.socket = context.wrap_socket(listener[0].server.socket, server_side=True)
    url = listener[1].replace("http:", "https:")

    put(store(url, {**ANY_KEY, "AWS_CA_BUNDLE": str(tmp_path / "ca.pem")}))
    assert len(listener[0].heard) == 1
    with pytest.raises(StorageFailed, match="No answer"):
        put(store(url, ANY_KEY))


# A server that dies


def seconds_until_given_up(ask: Callable[[], object], advice: str) -> float:
    began = time.monotonic()
    with pytest.raises(StorageFailed, match=advice):
        ask()
    return time.monotonic() - began


def test_a_dead_server_is_given_up_and_found_again(mortal_object_store: ObjectStore) -> None:
    blobs = mortal_object_store.open()
    key = put(blobs)

    mortal_object_store.kill()
    for ask in every_question(blobs):
        assert seconds_until_given_up(ask, "No answer.*see that its server runs") < GIVEN_UP_SECONDS
    mortal_object_store.start()

    assert blobs.read(key, verify=True) == SOUND
    assert put(blobs, b"more") in {blob.key for blob in blobs.list("audio")}


def test_a_server_that_says_nothing_is_given_up_too_and_found_again(mortal_object_store: ObjectStore) -> None:
    blobs = mortal_object_store.open()
    key = put(blobs)

    mortal_object_store.freeze()
    with ThreadPoolExecutor(8) as pool:
        waits = pool.map(lambda ask: seconds_until_given_up(ask, "No answer"), every_question(blobs))
        assert max(waits) < GIVEN_UP_SECONDS
    mortal_object_store.thaw()

    assert blobs.read(key, verify=True) == SOUND


def test_a_machine_without_key_and_role_is_told_as_soon_as_any_other_silence(
    object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "_SILENCE", dt.timedelta(seconds=1))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        blobs = store(object_store.url(), {})
        assert seconds_until_given_up(lambda: blobs.stat(KEY), "set AWS_ACCESS_KEY_ID") < GIVEN_UP_SECONDS / 2


def test_a_player_that_pauses_hears_the_rest(
    object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's silence is counted, not the listener's."""
    monkeypatch.setattr(s3, "_SILENCE", dt.timedelta(seconds=1))
    blobs = object_store.open()
    stream = blobs.stream(put(blobs, LARGE), chunk_bytes=len(LARGE) // 4)

    heard = b""
    for chunk in stream:
        heard += chunk
        time.sleep(1.1)  # in all more than what is tried again would hide

    assert heard == LARGE


def test_a_blob_that_is_missing_is_no_fault_of_the_server(object_store: ObjectStore) -> None:
    with pytest.raises(BlobMissing, match=KEY):
        object_store.open().read(KEY)
