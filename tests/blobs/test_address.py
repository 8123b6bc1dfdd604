from pathlib import Path

import pytest

from text2song.blobs.address import address_of
from text2song.blobs.signing import AccessKey
from text2song.errors import InvalidSetting

KEY = {"AWS_ACCESS_KEY_ID": "the id", "AWS_SECRET_ACCESS_KEY": "the secret"}


@pytest.mark.parametrize(
    ("url", "environment", "host_url", "path", "region"),
    [
        ("s3://songs", {}, "https://songs.s3.us-east-1.amazonaws.com", "", "us-east-1"),
        ("s3://songs/a/b/", {}, "https://songs.s3.us-east-1.amazonaws.com", "/a/b", "us-east-1"),
        (
            "s3://songs?region=eu-west-3",
            {"AWS_REGION": "us-west-2"},
            "https://songs.s3.eu-west-3.amazonaws.com",
            "",
            "eu-west-3",
        ),
        (
            "s3://songs",
            {"AWS_DEFAULT_REGION": "us-west-2"},
            "https://songs.s3.us-west-2.amazonaws.com",
            "",
            "us-west-2",
        ),
        ("s3://my.songs/x", {}, "https://s3.us-east-1.amazonaws.com", "/my.songs/x", "us-east-1"),
        (
            "s3://songs/x?path_style=true",
            {},
            "https://s3.us-east-1.amazonaws.com",
            "/songs/x",
            "us-east-1",
        ),
        (
            "s3://songs/x?endpoint=http://127.0.0.1:8333/",
            {"AWS_ENDPOINT_URL": "https://other.example"},
            "http://127.0.0.1:8333",
            "/songs/x",
            "us-east-1",
        ),
        (
            "s3://songs?path_style=false",
            {"AWS_ENDPOINT_URL": "https://s3.example.org:444", "AWS_REGION": "garage"},
            "https://songs.s3.example.org:444",
            "",
            "garage",
        ),
        (
            "s3://songs/x",
            {"AWS_ENDPOINT_URL": "https://a.example", "AWS_ENDPOINT_URL_S3": "https://b.example/s3"},
            "https://b.example/s3",
            "/s3/songs/x",
            "us-east-1",
        ),
        (
            "s3://songs?endpoint=http://[::1]:8333",
            {},
            "http://[::1]:8333",
            "/songs",
            "us-east-1",
        ),
        (
            "s3://songs?endpoint=http://garage.lan:3900&allow_http=true",
            {},
            "http://garage.lan:3900",
            "/songs",
            "us-east-1",
        ),
    ],
)
def test_url_and_environment_say_where_the_bucket_is(
    url: str, environment: dict[str, str], host_url: str, path: str, region: str
) -> None:
    address = address_of(url, environment)
    assert (address.host_url, address.path, address.region) == (host_url, path, region)
    assert host_url.startswith(address.origin)
    assert address.key is None


def test_the_key_comes_from_the_environment_and_shows_nowhere() -> None:
    address = address_of("s3://songs", {**KEY, "AWS_SESSION_TOKEN": "the token"})
    assert address.key == AccessKey("the id", "the secret", "the token")
    for shown in (repr(address), str(address)):
        assert "the secret" not in shown
        assert "the token" not in shown


def test_a_variable_that_is_set_to_nothing_counts_as_not_set() -> None:
    environment = {
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SECRET_ACCESS_KEY": "",
        "AWS_REGION": "",
        "AWS_CA_BUNDLE": "",
    }
    assert address_of("s3://songs", environment) == address_of("s3://songs", {})
    assert address_of("s3://songs", {**KEY, "AWS_SESSION_TOKEN": ""}).key == AccessKey("the id", "the secret")


@pytest.mark.parametrize("missing", KEY)
def test_half_a_key_names_the_other_half(missing: str) -> None:
    with pytest.raises(InvalidSetting, match="belong together") as caught:
        address_of("s3://songs", {name: value for name, value in KEY.items() if name != missing})
    assert caught.value.field == missing


def test_certificates_of_an_authority_of_ones_own_are_read(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(b"certificates")
    assert address_of("s3://songs", {"AWS_CA_BUNDLE": str(bundle)}).authorities == b"certificates"
    with pytest.raises(InvalidSetting, match="cannot be read") as caught:
        address_of("s3://songs", {"AWS_CA_BUNDLE": str(tmp_path / "none.pem")})
    assert caught.value.field == "AWS_CA_BUNDLE"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("s3://", "name of a bucket"),
        ("s3://a", "name of a bucket"),
        ("s3:songs", "name of a bucket"),
        ("s3://[songs", "not even a URL"),
        ("s3://song$", "name of a bucket"),
        ("s3://songs:80", "name of a bucket"),
        ("s3://songs/a/../b", "prefix"),
        ("s3://songs/./b", "prefix"),
        ("s3://songs/a//b", "prefix"),
        ("s3://songs/a b", "prefix"),
        ("s3://songs/é", "prefix"),
        ("s3://id:the-secret@songs", "a key"),
        ("s3://songs#x", "fragment"),
        ("s3://songs?the-secret", "name=value"),
        ("s3://songs?secret=the-secret", "each of allow_http, endpoint"),
        ("s3://songs?region=a&region=b", "once"),
        ("s3://songs?region=a/b", "region"),
        ("s3://songs?path_style=yes", "true or false"),
        ("s3://songs?endpoint=s3.example.org", "scheme and host"),
        ("s3://songs?endpoint=ftp://s3.example.org", "scheme and host"),
        ("s3://songs?endpoint=https://id:the-secret@s3.example.org", "scheme and host"),
        ("s3://songs?endpoint=https://s3.example.org:99999", "scheme and host"),
        ("s3://songs?endpoint=https://[::1", "scheme and host"),
        ("s3://songs?endpoint=https://s3.example.org/x&path_style=false", "needs path_style=true"),
        ("s3://songs?endpoint=http://s3.example.org", "in the clear"),
        ("s3://songs?endpoint=http://127.0.0.1.example.org", "in the clear"),
        ("s3://songs?endpoint=http://10.0.0.7:9000&allow_http=false", "in the clear"),
    ],
)
def test_any_other_url_says_why_and_tells_no_secret(url: str, reason: str) -> None:
    with pytest.raises(InvalidSetting, match=reason) as caught:
        address_of(url, {})
    assert caught.value.field == "TEXT2SONG_BLOBS_URL"
    assert "s3://bucket/prefix" in caught.value.message
    assert "the-secret" not in caught.value.message


def test_plain_http_from_the_environment_is_refused_too() -> None:
    with pytest.raises(InvalidSetting, match="in the clear"):
        address_of("s3://songs", {"AWS_ENDPOINT_URL": "http://s3.example.org"})
