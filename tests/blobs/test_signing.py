import datetime as dt
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from obstore import sign
from obstore.store import S3Store

if TYPE_CHECKING:
    from obstore.store import S3Credential

from text2song.blobs.signing import LONGEST_SECONDS, AccessKey, presigned_get

EXAMPLE_KEY = AccessKey("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
URL = "https://bucket.s3.eu-west-1.amazonaws.com/studio/audio/ab/abcd.flac"
NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


def presign(  # what a test does not name does not matter to it
    url: str = URL,
    *,
    key: AccessKey = EXAMPLE_KEY,
    signed_at: dt.datetime = NOON,
    expires_seconds: int = 60,
) -> str:
    return presigned_get(
        url, key=key, region="eu-west-1", signed_at=signed_at, expires_seconds=expires_seconds
    )


def test_the_example_that_aws_publishes() -> None:
    """AWS S3 API Reference, "Authenticating Requests: Using Query Parameters", the example at its end."""
    link = presigned_get(
        "https://examplebucket.s3.amazonaws.com/test.txt",
        key=EXAMPLE_KEY,
        region="us-east-1",
        signed_at=dt.datetime(2013, 5, 24, tzinfo=dt.UTC),
        expires_seconds=86_400,
    )

    assert link == (
        "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )


@pytest.mark.parametrize("token", [None, "IQoJb3JpZ2luX2VjE+a/b=="])
@pytest.mark.parametrize("name", ["audio/ab/abcd.flac", "a b/é+(1)~!*'.flac"])
def test_another_signer_signs_the_same(token: str | None, name: str) -> None:
    """obstore's, as of the moment that it chose."""
    key = AccessKey("AKID/EXAMPLE+", "s3cr/et+", token)
    credential: S3Credential = {
        "access_key_id": key.id,
        "secret_access_key": key.secret,
        "token": token,
        "expires_at": None,
    }
    store = S3Store(
        "bucket",
        endpoint="http://127.0.0.1:9000",
        region="garage",
        client_options={"allow_http": True},
        credential_provider=lambda: credential,
    )
    theirs = sign(store, "GET", name, dt.timedelta(seconds=77))
    moment = parse_qs(urlsplit(theirs).query)["X-Amz-Date"][0]

    ours = presigned_get(
        f"http://127.0.0.1:9000/bucket/{name}",
        key=key,
        region="garage",
        signed_at=dt.datetime.strptime(moment, "%Y%m%dT%H%M%S%z"),
        expires_seconds=77,
    )

    assert parse_qs(urlsplit(ours).query) == parse_qs(urlsplit(theirs).query)
    assert urlsplit(ours)[:3] == urlsplit(theirs)[:3]


def test_the_same_moment_in_another_zone_is_the_same_link() -> None:
    zone = dt.timezone(dt.timedelta(hours=9))
    assert presign(signed_at=NOON.astimezone(zone)) == presign()


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("https://S3.Example.org:443/a", "https://s3.example.org/a"),
        ("http://s3.example.org:80/a", "http://s3.example.org/a"),
        ("https://s3.example.org:80/a", "https://s3.example.org:80/a"),
        ("http://[::1]:443/a", "http://[::1]:443/a"),
    ],
)
def test_the_host_is_signed_as_browsers_send_it(written: str, sent: str) -> None:
    """The URL Standard (https://url.spec.whatwg.org): small letters, and no port that is its scheme's own."""
    assert presign(written) == presign(sent)
    assert presign(written).startswith(f"{sent}?")


def test_whatever_is_asked_for_is_signed() -> None:
    links = {
        presign(),
        presign(URL.replace("abcd", "abce")),
        presign(URL.replace("bucket", "other")),
        presign(signed_at=NOON + dt.timedelta(seconds=1)),
        presign(expires_seconds=61),
        presign(key=AccessKey(EXAMPLE_KEY.id, "another secret")),
        presign(key=AccessKey(EXAMPLE_KEY.id, EXAMPLE_KEY.secret, "token")),
    }
    assert len({parse_qs(urlsplit(link).query)["X-Amz-Signature"][0] for link in links}) == 7


def test_a_secret_shows_nowhere() -> None:
    key = AccessKey("id", "the secret", "the token")
    assert repr(key) == "AccessKey(id='id')"
    assert "secret" not in presign(key=key)


@pytest.mark.parametrize("expires_seconds", [0, -1, LONGEST_SECONDS + 1])
def test_no_link_lives_longer_than_a_server_honours(expires_seconds: int) -> None:
    with pytest.raises(ValueError, match="604800"):
        presign(expires_seconds=expires_seconds)
