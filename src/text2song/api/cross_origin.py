"""The web studio on another origin than the API: which pages may ask, and read the answers.

Only the origins that TEXT2SONG_WEB_ORIGIN names; by the time this runs, the front door has refused all
others. Their pages send the session's cookie, so they ask with `credentials: "include"`, and play takes
with `<audio crossorigin="use-credentials">`.
"""

from typing import Final

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from text2song.api.login import CSRF_HEADER
from text2song.api.problems import AnswerEverything
from text2song.api.request_log import REQUEST_ID_HEADER

METHODS: Final = ("GET", "HEAD", "POST", "PATCH", "DELETE")
SENT_HEADERS: Final = (
    "Authorization",
    "Content-Type",
    CSRF_HEADER,
    "Idempotency-Key",
    "If-None-Match",
    "If-Range",
    "Range",
    REQUEST_ID_HEADER,
)
READ_HEADERS: Final = (
    "Content-Disposition",
    "Content-Range",
    "ETag",
    "Location",
    "Retry-After",
    REQUEST_ID_HEADER,
)


def cross_origin(origins: tuple[str, ...]) -> list[Middleware]:
    """Nothing where there is no other origin."""
    if not origins:
        return []
    cors = Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_credentials=True,
        allow_methods=METHODS,
        allow_headers=SENT_HEADERS,
        expose_headers=READ_HEADERS,
        allow_private_network=True,  # a page of the internet may be the one of a server at home
    )
    # what breaks further inside is answered inside too: a page reads no answer without these headers
    return [cors, Middleware(AnswerEverything)]
