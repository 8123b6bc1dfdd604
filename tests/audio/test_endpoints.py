"""The sound of a sample, whatever storage holds it, and no unit open while it is read."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import httpx2
import pytest
from fastapi.testclient import TestClient

from tests.benches import Bench
from tests.object_store import ObjectStore
from tests.studios import Desk
from text2song.api.main import build_api
from text2song.blobs.memory import MemoryBlobs
from text2song.blobs.objects import ObjectBlobs
from text2song.blobs.s3 import S3Options
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

    link_origin = "https://storage.example"

    def link(self, key: str, *, expires_seconds: int = LINK_SECONDS) -> str:
        """A URL such as an object store signs."""
        self.stat(key)
        return f"https://storage.example/{key}?expires={expires_seconds}"


@contextmanager
def moved(desk: Desk, sample: dict[str, Any], blobs: ObjectBlobs) -> Iterator[None]:
    """The sample's sound in another storage, behind the same API."""
    state = cast("FastAPI", desk.client.app).state
    studio = state.studio
    blobs.put(studio.blobs.read(sample["storage_path"]), folder="audio", suffix=".flac")
    state.studio = replace(studio, blobs=blobs)
    try:
        yield
    finally:
        state.studio = studio


RANGES = (
    None, "", "bytes=0-0", "bytes=0-99", "bytes=100-", "bytes=0-", "bytes=-100", "bytes=0-999999999",
    "bytes=-999999999", "items=0-1", "bytes=999999999-", "bytes=-0", "bytes=5-3", "bytes=5-6, 999999999-",
)  # fmt: skip


@pytest.mark.parametrize("asked", RANGES)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_storage_that_only_streams_answers_like_files(
    sample: dict[str, Any], shared_desk: Desk, method: str, asked: str | None
) -> None:
    expected, answer = asked_of_both(sample, shared_desk, PassedOn(), method=method, asked=asked)
    assert_alike(expected, answer)


@pytest.mark.parametrize("asked", RANGES)
def test_what_a_bucket_does_not_serve_itself_comes_through_as_from_files(
    sample: dict[str, Any], shared_desk: Desk, object_store: ObjectStore, asked: str | None
) -> None:
    blobs = object_store.open(S3Options(redirects=False))
    assert_alike(*asked_of_both(sample, shared_desk, blobs, method="GET", asked=asked))


def asked_of_both(
    sample: dict[str, Any], desk: Desk, blobs: ObjectBlobs, *, method: str, asked: str | None
) -> tuple[httpx2.Response, httpx2.Response]:
    """What the files answer, and what another storage does."""
    headers = {} if asked is None else {"Range": asked}
    ask = partial(desk.client.request, method, sample["stream_url"], headers=headers, follow_redirects=False)
    expected = ask()
    with moved(desk, sample, blobs):
        return expected, ask()


def assert_alike(expected: httpx2.Response, answer: httpx2.Response) -> None:
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
    assert held.status_code == 304


def test_a_page_of_another_origin_is_sent_nowhere(sample: dict[str, Any], shared_desk: Desk) -> None:
    """Its browser would ask there as `Origin: null`; and it must not take the way that another page kept."""
    stored = shared_desk.studio.blobs.read(sample["storage_path"], verify=True)
    with moved(shared_desk, sample, LinkedElsewhere()):
        sent = shared_desk.client.get(sample["stream_url"], follow_redirects=False)
        passed_on = shared_desk.client.get(
            sample["stream_url"], headers={"Origin": "https://studio.example"}, follow_redirects=False
        )
    assert (sent.status_code, sent.headers["vary"]) == (307, "Origin")
    assert (passed_on.status_code, passed_on.content) == (200, stored)


def test_a_browser_keeps_the_way_for_less_than_it_leads_somewhere(
    sample: dict[str, Any], shared_desk: Desk
) -> None:
    with moved(shared_desk, sample, LinkedElsewhere()):
        answer = shared_desk.client.get(sample["stream_url"], follow_redirects=False)
    private, age = answer.headers["cache-control"].split(", max-age=")
    assert private == "private"
    assert 0 < int(age) <= LINK_SECONDS / 2


@pytest.mark.parametrize("asked", RANGES)
def test_whoever_only_asks_about_a_file_is_sent_nowhere(
    sample: dict[str, Any], shared_desk: Desk, asked: str | None
) -> None:
    """A link is signed for GET: with HEAD it would lead to a 403."""
    assert_alike(*asked_of_both(sample, shared_desk, LinkedElsewhere(), method="HEAD", asked=asked))


@pytest.mark.parametrize("asked", RANGES)
def test_a_range_that_cannot_be_is_refused_before_the_way_is_told(
    sample: dict[str, Any], shared_desk: Desk, asked: str | None
) -> None:
    expected, answer = asked_of_both(sample, shared_desk, LinkedElsewhere(), method="GET", asked=asked)
    assert answer.status_code == (307 if expected.is_success else expected.status_code)


def test_a_player_on_the_way_to_a_bucket_hears_what_it_asked_for(
    sample: dict[str, Any], shared_desk: Desk, object_store: ObjectStore
) -> None:
    stored = shared_desk.studio.blobs.read(sample["storage_path"], verify=True)
    with moved(shared_desk, sample, object_store.open()):
        sent = [shared_desk.client.get(sample["stream_url"], follow_redirects=False) for _ in range(2)]
    assert [answer.status_code for answer in sent] == [307, 307]
    way, again = (answer.headers["location"] for answer in sent)
    assert way == again or dt.datetime.now(dt.UTC).minute % 15 == 0  # equal, so that caches hit
    whole: dict[str, str] = {}
    for headers, status, content in (
        (whole, 200, stored),
        ({"Range": "bytes=100-199"}, 206, stored[100:200]),
    ):
        heard = httpx2.get(way, headers=headers, trust_env=False)
        assert (heard.status_code, heard.content) == (status, content)
        assert heard.headers["content-type"] == "audio/flac"


def test_pages_may_play_from_where_the_links_lead(shared_desk: Desk, object_store: ObjectStore) -> None:
    studio = replace(shared_desk.studio, blobs=object_store.open())
    with TestClient(build_api(studio), base_url="http://127.0.0.1:8000") as client:
        policy = client.get("/audio").headers["content-security-policy"]
    assert f"media-src 'self' {object_store.endpoint};" in policy
    own = shared_desk.client.get("/audio").headers["content-security-policy"]
    assert "media-src 'self';" in own


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
