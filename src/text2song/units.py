"""One unit for each HTTP request, committed before the client has its answer.

Lies below the features, because their endpoints ask for it. `scope="function"` is the point: a
dependency of FastAPI's default scope would commit after the answer, and a client could hold a 201
for a row that a failing commit took back (measured).
"""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Request

from text2song.studio import Reader, Studio, Work


def studio_of(request: Request) -> Studio:
    """The studio that the application was made with."""
    studio: Studio = request.app.state.studio
    return studio


def _reader(request: Request) -> Iterator[Reader]:
    with studio_of(request).read() as reader:
        yield reader


def _work(request: Request) -> Iterator[Work]:
    with studio_of(request).work() as work:
        yield work


StudioUnit = Annotated[Studio, Depends(studio_of)]
ReaderUnit = Annotated[Reader, Depends(_reader, scope="function")]
WorkUnit = Annotated[Work, Depends(_work, scope="function")]
