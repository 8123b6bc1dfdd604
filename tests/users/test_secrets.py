import hashlib
import re

from text2song.names import KEY_SHAPE
from text2song.users import secrets


def test_a_key_is_long_random_and_known_by_its_beginning() -> None:
    keys = {secrets.new_key() for _ in range(100)}
    assert len(keys) == 100
    for key in keys:
        assert re.fullmatch(r"t2s_[A-Za-z0-9_-]{43}", key)
        assert len(key) == secrets.KEY_LENGTH
        assert re.fullmatch(KEY_SHAPE, key)  # by which logs and problems know what to hide
    assert len({secrets.new_token() for _ in range(100)}) == 100


def test_what_is_stored_is_the_sha256_of_all_of_it() -> None:
    assert secrets.digest_of("t2s_0") == hashlib.sha256(b"t2s_0").hexdigest()


def test_equal_is_equal_and_near_is_not() -> None:
    assert secrets.is_same("abc", "abc")
    assert not secrets.is_same("abc", "abd")
    assert not secrets.is_same("abc", "")
    assert secrets.is_same("\u00e4", "\u00e4")  # what a header may hold must not raise


def test_the_csrf_token_follows_from_the_session_alone_and_tells_nothing_of_it() -> None:
    token = secrets.new_token()
    csrf_token = secrets.csrf_token_of(token)
    assert csrf_token == secrets.csrf_token_of(token)
    assert csrf_token != secrets.csrf_token_of(secrets.new_token())
    assert token not in csrf_token
    assert csrf_token != secrets.digest_of(token)  # which is what the database holds
