"""One unit for each HTTP request, committed before the client has its answer, and only for whoever may.

Lies below the features, because their endpoints ask for it. By asking for a unit an endpoint says what
permission it needs; one that asks for none is open to everybody, and `tests/api/test_permissions.py`
lists those. Who asks is found by `app.state.identify`, which lies above.

`scope="function"` is the point: a dependency of FastAPI's default scope would commit after the answer,
and a client could hold a 201 for a row that a failing commit took back (measured).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import BackgroundTasks, Depends, Request

from text2song.actors import Actor, Permission
from text2song.studio import Reader, Studio, Work

Identify = Callable[[Request, Reader, BackgroundTasks], Actor]
"""Who asks. It may leave work for after the answer; raises `NotLoggedIn` for a stranger."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One request, for an endpoint that opens its units itself because it goes on between them."""

    studio: Studio
    request: Request
    afterwards: BackgroundTasks

    @contextmanager
    def read(self, permission: Permission = Permission.READ) -> Iterator[Reader]:
        """A unit that reads. Who asks is found out anew each time: they may have been shut out meanwhile.

        Raises:
            NotLoggedIn, Forbidden: for whoever may not.
        """
        with self.studio.read() as reader:
            yield replace(reader, actor=self._admitted(reader, permission))

    @contextmanager
    def work(self, permission: Permission = Permission.CREATE) -> Iterator[Work]:
        """A unit that writes. No stranger comes as far as the write lock.

        Raises:
            NotLoggedIn, CsrfFailed, Forbidden: for whoever may not.
        """
        with self.studio.read() as reader:
            actor = self._admitted(reader, permission)
        with self.studio.work(actor) as work:
            yield work

    def _admitted(self, reader: Reader, permission: Permission) -> Actor:
        identify: Identify = self.request.app.state.identify
        actor = identify(self.request, reader, self.afterwards)
        actor.require(permission)
        return actor


def studio_of(request: Request) -> Studio:
    """The studio that the application was made with."""
    studio: Studio = request.app.state.studio
    return studio


async def visit_of(request: Request, afterwards: BackgroundTasks) -> Visit:
    """This request. A coroutine because FastAPI would pay a thread for a plain function."""
    return Visit(studio_of(request), request, afterwards)


StudioUnit = Annotated[Studio, Depends(studio_of)]
"""For endpoints that are open to everybody: whoever asks is not looked at."""
VisitUnit = Annotated[Visit, Depends(visit_of)]


def _reading(permission: Permission) -> Callable[[Visit], Iterator[Reader]]:
    def open_reader(visit: VisitUnit) -> Iterator[Reader]:
        with visit.read(permission) as reader:
            yield reader

    return open_reader


def _working(permission: Permission) -> Callable[[Visit], Iterator[Work]]:
    def open_work(visit: VisitUnit) -> Iterator[Work]:
        with visit.work(permission) as work:
            yield work

    return open_work


ReaderUnit = Annotated[Reader, Depends(_reading(Permission.READ), scope="function")]
AdminReaderUnit = Annotated[Reader, Depends(_reading(Permission.ADMIN), scope="function")]
AccountWorkUnit = Annotated[Work, Depends(_working(Permission.READ), scope="function")]
"""For what people of every role may change: their own keys and sessions."""
RaterWorkUnit = Annotated[Work, Depends(_working(Permission.RATE), scope="function")]
WorkUnit = Annotated[Work, Depends(_working(Permission.CREATE), scope="function")]
AdminWorkUnit = Annotated[Work, Depends(_working(Permission.ADMIN), scope="function")]
