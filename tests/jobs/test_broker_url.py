import pytest

from text2song.errors import InvalidSetting
from text2song.jobs.broker_url import check_broker_url, is_broker_url, shown

SHOWN = {
    "redis://here": "redis://here",
    "redis://here/": "redis://here/",
    "redis://here:6380/2": "redis://here:6380/2",
    "redis://:sesame@here:6379/0": "redis://:***@here:6379/0",
    "redis://me:sesame@here": "redis://me:***@here",
    "redis://me@here": "redis://me@here",
    "redis://:%40sesame%2F@here": "redis://:***@here",
    "redis://:sesame@[::1]:6379/0": "redis://:***@[::1]:6379/0",
    "rediss://:sesame@here?ssl_ca_certs=/etc/ca.pem": "rediss://:***@here",
}


@pytest.mark.parametrize("url", SHOWN)
def test_an_address_is_taken_and_shown_without_its_password(url: str) -> None:
    check_broker_url(url)
    assert is_broker_url(url)
    assert shown(url) == SHOWN[url]


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis://:sesame@",
        "redis://:sesame@:6379",
        "redis://:sesame@here:port/0",
        "redis://:sesame@here:0/0",
        "redis://:sesame@here:99999/0",
        "redis://:sesame@here/first",
        "redis://:sesame@here/-1",
        "redis://:ses#ame@here/0",
        "redis://:sesame/secret@here/0",
        "redis://:sesame@[::1/0",
        "redis://:sesame@here;redis://there",
        "redis://:sesame@here/0?ssl_ca_certs=/etc/ca.pem",
        "rediss://:sesame@here/0?ssl_cert_reqs=none",
        "rediss://:sesame@here/0?db=sesame",
    ],
)
def test_what_is_no_address_is_refused_and_its_password_not_repeated(url: str) -> None:
    with pytest.raises(InvalidSetting) as error:
        check_broker_url(url)
    assert error.value.message.startswith("TEXT2SONG_QUEUE_URL ")
    assert "sesame" not in error.value.message
    assert "ses#ame" not in error.value.message


def test_other_kinds_of_addresses_are_others() -> None:
    assert not any(is_broker_url(url) for url in ("thread://", "amqp://here", "redis", "redis:here"))
