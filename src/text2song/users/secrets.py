"""Keys and session tokens: how they are drawn, and what is kept of them.

Both are 32 random bytes, so nobody finds one by trying, and a plain sha256 is as good a thing to keep
as any: slow hashes are for passwords, which people choose. A key begins with `t2s_`, so that a scanner
which looks for leaked secrets knows it.
"""

import hashlib
import hmac
import secrets
from typing import Final

KEY_PREFIX: Final = "t2s_"
KEY_LENGTH: Final = 47
"""The prefix and 43 letters, which is 32 bytes in URL-safe base64."""
SHOWN_LETTERS: Final = 12
"""Of a key, by which its owner knows it again; the rest is still 208 bits."""


def new_key() -> str:
    """A key that nobody has."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def new_token() -> str:
    """The secret of a session, for a cookie."""
    return secrets.token_urlsafe(32)


def digest_of(secret: str) -> str:
    """What is stored, and looked up.

    >>> len(digest_of("t2s_0"))
    64
    """
    return hashlib.sha256(secret.encode()).hexdigest()


def is_same(a: str, b: str) -> bool:
    """Whether two secrets, or their digests, are equal; takes as long for a near miss as for a far one."""
    return hmac.compare_digest(a.encode(), b.encode())


def csrf_token_of(token: str) -> str:
    """The word that a page must know beside the cookie with `token`.

    A page of another site can have the cookie sent, and cannot read it; this follows from it and not
    the other way round, so nothing needs to be stored.
    """
    return word_from(token, "csrf")


def word_from(secret: str, purpose: str) -> str:
    """A word for one purpose that follows from a secret, and from which nothing follows.

    >>> len(word_from("secret", "state")), word_from("secret", "state") == word_from("secret", "nonce")
    (64, False)
    """
    return hmac.new(secret.encode(), f"text2song {purpose}".encode(), hashlib.sha256).hexdigest()
