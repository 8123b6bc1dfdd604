"""The sound of a sample, whatever storage holds it, and no unit open while it is read."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.benches import Bench
from tests.studios import Desk
from text2song.blobs.memory import MemoryBlobs
from text2song.blobs.store import LINK_SECONDS

if TYPE_CHECKING:
    from fastapi import FastAPI


@pytest.fixture(scope="module", name="sample")
def make_sample(shared_bench: Bench) -> dict[str, Any]:
    return shared_bench.sample(shared_bench.make(generation_params={"seed": 7, "duration": 1}))


class PassedOn(MemoryBlobs):
    """A storage without a shorter way to its bytes."""


class LinkedElsewhere(MemoryBlobs):
    """A storage that serves its bytes itself."""

    def link(self, key: str, *, expires_seconds: int = LINK_SECONDS) -> str:
        """A URL such as an object store signs."""
        self.stat(key)
        return f"https://storage.example/{key}?expires={expires_seconds}"


@contextmanager
def moved(desk: Desk, sample: dict[str, Any], blobs: MemoryBlobs) -> Iterator[None]:
    """The sample's sound in another storage, behind the same API."""
    state = cast("FastAPI", desk.client.app).state
    studio = state.studio
    blobs.put(studio.blobs.read(sample["storage_path"]), folder="audio", suffix=".flac")
    state.studio = replace(studio, blobs=blobs)
    try:
        yield
    finally:
        state.studio = studio


@pytest.mark.parametrize(
    "asked",
    [None, "", "bytes=0-0", "bytes=0-99", "bytes=100-", "bytes=0-", "bytes=-100", "bytes=0-999999999",
     "bytes=-999999999", "items=0-1", "bytes=999999999-", "bytes=-0", "bytes=5-3", "bytes=5-6, 999999999-"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_storage_that_only_streams_answers_like_files(
    sample: dict[str, Any], shared_desk: Desk, method: str, asked: str | None
) -> None:
    headers = {} if asked is None else {"Range": asked}
    ask = partial(shared_desk.client.request, method, sample["stream_url"], headers=headers)
    expected = ask()
    with moved(shared_desk, sample, PassedOn()):
        answer = ask()
    assert (answer.status_code, answer.content) == (expected.status_code, expected.content) or (
        answer.status_code == expected.status_code >= 400  # problems carry their request's id
    )
    names = ("content-length", "content-range", "content-type", "etag", "cache-control", "accept-ranges")
    if answer.is_success:
        for name in names:
            assert answer.headers.get(name) == expected.headers.get(name), name


def test_of_several_ranges_a_storage_that_only_streams_gives_all(
    sample: dict[str, Any], shared_desk: Desk
) -> None:
    get, url = shared_desk.client.get, sample["stream_url"]
    stored = shared_desk.studio.blobs.read(sample["storage_path"], verify=True)
    with moved(shared_desk, sample, PassedOn()):
        several = get(url, headers={"Range": "bytes=0-9,100-199"})
        held = get(url, headers={"If-None-Match": several.headers["etag"]})
        other = get(url, headers={"Range": "bytes=0-9", "If-Range": '"another"'})
    assert (several.status_code, several.content) == (200, stored)
    assert (held.status_code, other.status_code, other.content) == (304, 200, stored)


def test_a_storage_that_serves_its_bytes_itself_is_where_the_player_is_sent(
    sample: dict[str, Any], shared_desk: Desk
) -> None:
    with moved(shared_desk, sample, LinkedElsewhere()):
        answer = shared_desk.client.get(sample["stream_url"], follow_redirects=False)
        held = shared_desk.client.get(
            sample["stream_url"], headers={"If-None-Match": f'"{sample["sha256"]}"'}
        )
    assert answer.status_code == 307
    assert answer.headers["location"] == f"https://storage.example/{sample['storage_path']}?expires=3600"
    assert answer.headers["cache-control"] == "no-store"  # the URL ends within the hour
    assert held.status_code == 304


@pytest.mark.parametrize("kind", [PassedOn, LinkedElsewhere])
def test_bytes_that_are_gone_from_another_storage_are_said_to_be_gone(
    sample: dict[str, Any], shared_desk: Desk, kind: type[MemoryBlobs]
) -> None:
    blobs = kind()
    with moved(shared_desk, sample, blobs):
        blobs.delete(sample["storage_path"])
        answer = shared_desk.client.get(sample["stream_url"])
    assert (answer.status_code, answer.json()["code"]) == (500, "blob_missing")
    assert sample["id"] in answer.json()["detail"]


@pytest.mark.parametrize("what", ["stream", "peaks", "download"])
def test_no_unit_is_open_while_bytes_are_read(
    sample: dict[str, Any], shared_desk: Desk, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    studio = shared_desk.studio
    open_units: list[int] = []

    def watched(name: str) -> Any:  # noqa: ANN401  # a method of whatever signature
        ask = getattr(studio.blobs, name)

        def answer(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401  # passed on as they are
            open_units.append(studio.engine.pool.checkedout())  # type: ignore[attr-defined]  # of QueuePool
            return ask(*arguments, **named)

        return answer

    for name in ("read", "link"):
        monkeypatch.setattr(studio.blobs, name, watched(name))
    assert shared_desk.client.get(f"/audio/{sample['id']}/{what}").status_code == 200
    assert set(open_units) == {0}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("what", ["stream", "peaks", "download"])
def test_a_name_that_no_sound_knows_is_refused(
    sample: dict[str, Any], shared_desk: Desk, method: str, what: str
) -> None:
    answer = shared_desk.client.request(method, f"/audio/{sample['id']}/{what}?v=2")
    assert answer.status_code == 422
    if method == "GET":
        assert answer.json()["field"] == "v"
