"""Bytes on their way to a player."""

import email
import email.message
import hashlib
import re
import threading
import urllib.parse
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import httpx2
import numpy as np
import pytest

from tests.benches import Bench
from tests.studios import Desk
from text2song.audio.endpoints import FormatName
from text2song.audio.tables import AudioSample
from text2song.models import service as models
from text2song.sound.files import FORMATS, decode, read_tags


@pytest.fixture(scope="module", name="sample")
def make_sample(shared_bench: Bench) -> dict[str, Any]:
    return shared_bench.sample(shared_bench.make(generation_params={"seed": 7, "duration": 1}))


@pytest.fixture(name="stored")
def read_stored(sample: dict[str, Any], shared_desk: Desk) -> bytes:
    return shared_desk.studio.blobs.read(sample["storage_path"], verify=True)


@pytest.fixture(name="get")
def make_getter(sample: dict[str, Any], shared_desk: Desk) -> "Getter":
    return Getter(shared_desk, sample["stream_url"])


class Getter:
    def __init__(self, desk: Desk, url: str) -> None:
        self._desk, self._url = desk, url

    def __call__(self, method: str = "GET", **headers: str) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._desk.client.request(method, self._url, headers=named)


def test_the_whole_file_is_what_was_stored(get: Getter, stored: bytes, sample: dict[str, Any]) -> None:
    answer = get()
    assert answer.status_code == 200
    assert answer.content == stored
    assert hashlib.sha256(answer.content).hexdigest() == sample["sha256"]
    assert len(answer.content) == int(answer.headers["content-length"]) == sample["size_bytes"]
    assert answer.headers["content-type"] == "audio/flac"
    assert answer.headers["etag"] == f'"{sample["sha256"]}"'
    assert answer.headers["accept-ranges"] == "bytes"
    assert {"immutable", "max-age=31536000"} <= set(re.split(r",\s*", answer.headers["cache-control"]))


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-99", 0, 99),
        ("bytes=100-", 100, -1),
        ("bytes=-100", -100, -1),
        ("bytes=0-999999999", 0, -1),
        ("bytes=-999999999", 0, -1),
        ("BYTES=5-6", 5, 6),
        ("bytes= 5-6 ", 5, 6),
        ("bytes=5-6, 999999999-", 5, 6),
    ],
)
def test_a_range_is_served(get: Getter, stored: bytes, asked: str, first: int, last: int) -> None:
    size = len(stored)
    start, end = first % size, last % size
    answer = get(Range=asked)
    assert answer.status_code == 206
    assert answer.content == stored[start : end + 1]
    assert answer.headers["content-range"] == f"bytes {start}-{end}/{size}"
    assert int(answer.headers["content-length"]) == end + 1 - start
    assert answer.headers["content-type"] == "audio/flac"
    assert answer.headers["etag"] == get().headers["etag"]


def test_several_ranges_come_in_parts(get: Getter, stored: bytes) -> None:
    size = len(stored)
    answer = get(Range="bytes=0-9,100-199,-5")
    assert answer.status_code == 206
    kind = answer.headers["content-type"]
    message = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + answer.content)
    parts = message.get_payload()
    assert isinstance(parts, list)
    told = [_range_and_bytes(part) for part in parts]
    assert told == [
        (f"bytes 0-9/{size}", stored[:10]),
        (f"bytes 100-199/{size}", stored[100:200]),
        (f"bytes {size - 5}-{size - 1}/{size}", stored[-5:]),
    ]


def _range_and_bytes(part: object) -> tuple[str, bytes]:
    assert isinstance(part, email.message.Message)
    assert part["content-type"] == "audio/flac"
    body = part.get_payload(decode=True)
    assert isinstance(body, bytes)
    return str(part["content-range"]), body


@pytest.mark.parametrize(
    "asked", ["bytes=999999999-", "bytes=" + "9" * 5000 + "-", "bytes=-0", "bytes=999999998-999999999,-0"]
)
def test_a_range_beyond_the_end_says_how_long_the_file_is(get: Getter, stored: bytes, asked: str) -> None:
    answer = get(Range=asked)
    assert (answer.status_code, answer.json()["code"]) == (416, "range_unsatisfiable")
    assert answer.headers["content-range"] == f"bytes */{len(stored)}"
    assert str(len(stored)) in answer.json()["detail"]


@pytest.mark.parametrize("asked", ["0-" + "9" * 5000, "-" + "9" * 30, "0" * 5000 + "-"])
def test_a_range_that_goes_far_beyond_the_end_ends_with_the_file(
    get: Getter, stored: bytes, asked: str
) -> None:
    answer = get(Range=f"bytes={asked}")
    assert (answer.status_code, answer.content) == (206, stored)


@pytest.mark.parametrize(
    "asked",
    ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-3", "bytes=1-2-3", "bytes=0-1;2-3",
     "bytes=0x1-2", "0-1", "bytes=" + ",".join(["0-1"] * 101), "bytes=-1e3"],
)  # fmt: skip
def test_a_bad_range_is_named(get: Getter, asked: str) -> None:
    answer = get(Range=asked)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input"), answer.text
    assert answer.json()["field"] == "Range"
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("asked", ["items=0-1", "seconds=1-2", "bytesx=0-1"])
def test_a_unit_that_is_not_known_is_ignored(get: Getter, stored: bytes, asked: str) -> None:
    answer = get(Range=asked)
    assert (answer.status_code, answer.content) == (200, stored)


def test_if_range_gives_the_range_only_of_the_very_same_file(get: Getter, stored: bytes) -> None:
    whole = get()
    same = get(Range="bytes=0-9", If_Range=whole.headers["etag"])
    assert (same.status_code, same.content) == (206, stored[:10])
    for other in ('"another"', f"W/{whole.headers['etag']}", "yesterday", whole.headers["last-modified"]):
        answer = get(Range="bytes=0-9", If_Range=other)
        assert (answer.status_code, answer.content) == (200, stored)
    assert get(Range="bytes=9999999-", If_Range='"another"').status_code == 200
    assert get(Range="nonsense", If_Range='"another"').status_code == 200


def test_what_the_browser_has_it_need_not_fetch(get: Getter) -> None:
    etag = get().headers["etag"]
    for held in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = get(If_None_Match=held)
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == etag
        assert "immutable" in answer.headers["cache-control"]
    assert get(If_None_Match='"other"').status_code == 200
    assert get("HEAD", If_None_Match=etag).status_code == 304


def test_head_says_what_get_would(get: Getter) -> None:
    whole, head = get(), get("HEAD")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "content-type", "etag", "cache-control", "accept-ranges"):
        assert head.headers[name] == whole.headers[name]
    ranged = get("HEAD", Range="bytes=0-9")
    assert (ranged.status_code, ranged.headers["content-length"]) == (200, whole.headers["content-length"])


@pytest.fixture(name="misplaced")
def misplace_file(sample: dict[str, Any], shared_desk: Desk) -> Iterator[Path]:
    """The stored file, which comes back after the test."""
    path = shared_desk.studio.blobs.link(sample["storage_path"])
    assert isinstance(path, Path)
    content = path.read_bytes()
    yield path
    path.write_bytes(content)


@pytest.mark.parametrize("what", ["stream", "download"])
def test_a_file_that_is_gone_is_said_to_be_gone(
    sample: dict[str, Any], shared_desk: Desk, misplaced: Path, what: str
) -> None:
    misplaced.unlink()
    answer = shared_desk.client.get(f"/audio/{sample['id']}/{what}")
    assert (answer.status_code, answer.json()["code"]) == (500, "blob_missing")
    assert sample["id"] in answer.json()["detail"]
    assert "--from-sample" in answer.json()["detail"]
    assert shared_desk.client.head(f"/audio/{sample['id']}/{what}").status_code == 500


def test_a_file_that_was_cut_short_is_not_served_as_a_whole(
    get: Getter, sample: dict[str, Any], misplaced: Path
) -> None:
    misplaced.write_bytes(misplaced.read_bytes()[:-1])
    answer = get()
    assert (answer.status_code, answer.json()["code"]) == (500, "blob_corrupt")
    assert f"{sample['size_bytes']}" in answer.json()["detail"]


def test_a_damaged_file_is_not_made_into_another(
    sample: dict[str, Any], shared_desk: Desk, misplaced: Path
) -> None:
    content = misplaced.read_bytes()
    misplaced.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    answer = shared_desk.client.get(f"/audio/{sample['id']}/download?format=wav")
    assert (answer.status_code, answer.json()["code"]) == (500, "blob_corrupt")


def test_an_outline_that_is_damaged_is_not_drawn(bench: Bench) -> None:
    sample = bench.sample(bench.make())
    blobs = bench.desk.studio.blobs
    (outline,) = blobs.list("peaks")
    path = blobs.link(outline.key)
    assert isinstance(path, Path)
    path.write_bytes(b"{}")
    answer = bench.desk.client.get(f"/audio/{sample['id']}/peaks")
    assert (answer.status_code, answer.json()["code"]) == (500, "blob_corrupt")


def test_many_streams_at_once_get_the_same_bytes(get: Getter, stored: bytes) -> None:
    answers: list[bytes] = []
    threads = [threading.Thread(target=lambda: answers.append(get().content)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [stored] * 8


def test_the_formats_of_the_wire_are_those_that_can_be_written() -> None:
    assert get_args(FormatName) == tuple(FORMATS)


@pytest.mark.parametrize("kind", FORMATS.values(), ids=lambda kind: str(kind.name))
def test_each_format_holds_the_sound_and_says_what_it_is(
    sample: dict[str, Any],
    shared_desk: Desk,
    stored: bytes,
    kind: Any,  # noqa: ANN401  # pytest's parameter
) -> None:
    answer = shared_desk.client.get(f"/audio/{sample['id']}/download?format={kind.name}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == kind.media_type
    assert _file_name(answer).endswith(kind.extension)
    made, original = decode(answer.content), decode(stored)
    assert made.sample_rate == original.sample_rate
    if kind.is_lossless:
        assert np.array_equal(made.pcm, original.pcm)
    else:
        assert abs(made.duration_seconds - original.duration_seconds) < 0.1
    tags = read_tags(answer.content)
    assert tags["title"] == "a slow walk home"
    assert "prompt: a slow walk home" in tags["comment"]
    assert "seed: 7" in tags["comment"]
    assert sample["model"] in tags["comment"]


def test_flac_is_what_comes_where_no_format_is_named(sample: dict[str, Any], shared_desk: Desk) -> None:
    answer = shared_desk.client.get(f"/audio/{sample['id']}/download")
    assert answer.headers["content-type"] == "audio/flac"
    assert "prompt: a slow walk home" in read_tags(answer.content)["comment"]


@pytest.mark.parametrize("kind", FORMATS.values(), ids=lambda kind: str(kind.name))
def test_noise_says_so_in_its_file_whatever_its_model_learnt_since(
    bench: Bench,
    kind: Any,  # noqa: ANN401  # pytest's parameter
) -> None:
    sample = bench.sample(bench.make(generation_params={"duration": 0.5}))
    with bench.desk.studio.work() as work:
        models.announce(work, replace(bench.info, is_trained=True), worker="w", capacity=1)

    def comment() -> str:
        answer = bench.desk.client.get(f"/audio/{sample['id']}/download?format={kind.name}")
        return str(read_tags(answer.content)["comment"])

    assert comment().startswith("This is noise, not music")
    with bench.desk.studio.work() as work:  # as it is where a trained model made it
        row = work.session.get_one(AudioSample, uuid.UUID(sample["id"]))
        row.provenance = {**row.provenance, "is_trained": True}
    assert comment().startswith("prompt: a slow walk home")


def test_a_format_that_nobody_writes_is_refused(sample: dict[str, Any], shared_desk: Desk) -> None:
    answer = shared_desk.client.get(f"/audio/{sample['id']}/download?format=exe")
    assert (answer.status_code, answer.json()["field"]) == (422, "format")
    assert "'flac', 'wav', 'mp3' or 'ogg'" in answer.json()["detail"]


def _file_name(answer: httpx2.Response) -> str:
    """As a browser reads it: the extended name wins (RFC 6266, section 4.3)."""
    header = answer.headers["content-disposition"]
    plain = re.fullmatch(r"attachment; filename=\"([^\"\\]+)\"; filename\*=UTF-8''(\S+)", header)
    assert plain, header
    assert re.fullmatch(r"[a-z0-9_.-]+", plain[1])
    return urllib.parse.unquote(plain[2])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Warm Lo-Fi, 'lazy' piano!", "warm-lo-fi-lazy-piano"),
        ('../../etc/passwd\\"; rm *', "etc-passwd-rm"),
        ("one\ntwo\r\nX-Evil: 1", "one-two-x-evil-1"),
        ("雨の夜のピアノ", "雨の夜のピアノ"),
        ("Café del Mar", "café-del-mar"),
        ("♪♫", "take"),
        ("wind " * 200, "-".join(["wind"] * 24)),
        ("雪" * 500, "雪" * 40),
    ],
)
def test_the_file_name_says_what_is_inside_on_every_file_system(
    shared_bench: Bench, text: str, words: str
) -> None:
    params = {"seed": 7, "duration": 0.5}
    sample = shared_bench.sample(shared_bench.make(prompt={"text": text}, generation_params=params))
    answer = shared_bench.desk.client.get(f"/audio/{sample['id']}/download?format=mp3")
    name = _file_name(answer)
    assert name == f"{words}_seed-7_{sample['id'].replace('-', '')[-8:]}.mp3"
    assert len(name.encode()) < 255
    assert f"prompt: {sample['sentence']}" in read_tags(answer.content)["comment"]
