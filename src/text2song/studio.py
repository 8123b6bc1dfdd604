"""The composition root, and the one argument that every service takes.

An entrypoint builds one `Studio` for its process. A service is given a `Reader` or a `Work`: the
type says whether it may write, and neither ever commits by itself. The edge does, once:

    with studio.work(actor) as work:
        job = generation.service.submit(work, request)
    # committed here, and only then are the bells rung
"""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from text2song.actors import NOBODY, Actor
from text2song.blobs.open import open_blobs
from text2song.blobs.store import BlobStore
from text2song.db import registry
from text2song.db.clock import Clock, clock_of
from text2song.db.engine import open_engine, read_session, write_session
from text2song.db.faults import faults_explained
from text2song.errors import StorageFailed
from text2song.jobs.queue import JobQueue
from text2song.settings import Settings


def utc_now() -> dt.datetime:
    """The wall clock, in UTC."""
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True, slots=True)
class Reader:
    """One unit that may read."""

    session: Session
    blobs: BlobStore
    clock: Clock
    actor: Actor
    settings: Settings


@dataclass(frozen=True, slots=True)
class Work(Reader):
    """One unit that may write; all of it is committed, or none."""

    bells: list[str] = field(default_factory=list)

    def ring(self, kind: str) -> None:
        """Say that there is work of this kind, once the unit is committed; forgotten on rollback."""
        if kind not in self.bells:
            self.bells.append(kind)


@dataclass(frozen=True, slots=True)
class Studio:
    """What a process holds: the database, the bytes, the doorbell, the settings, the clock."""

    engine: Engine
    blobs: BlobStore
    queue: JobQueue
    settings: Settings
    clock: Clock = utc_now

    @contextmanager
    def read(self, actor: Actor = NOBODY) -> Iterator[Reader]:
        """A unit that reads."""
        with faults_explained(), read_session(self.engine) as session:
            yield Reader(session, self.blobs, self.clock, actor, self.settings)

    @contextmanager
    def work(self, actor: Actor = NOBODY) -> Iterator[Work]:
        """A unit that writes: committed at the end, rolled back on any error; then the bells."""
        with faults_explained(), write_session(self.engine) as session:
            work = Work(session, self.blobs, self.clock, actor, self.settings)
            with session.begin():
                yield work
        for kind in work.bells:
            self.queue.ring(kind)


def open_studio(settings: Settings, *, queue: JobQueue) -> Studio:
    """The studio that the settings describe. Opens nothing but the database's file and the blobs' folder.

    Raises:
        InvalidSetting: for a URL that is not known.
        StorageFailed: when the home folder cannot be used.
    """
    try:
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)  # prompts are private
    except OSError as error:
        raise StorageFailed(
            f"the folder {settings.home} cannot be made ({error.strerror}): choose another TEXT2SONG_HOME."
        ) from error
    registry.metadata()  # a foreign key finds only tables that somebody imported
    # Who pauses for longer than a lease is frozen: its locks must not keep its jobs from others.
    engine = open_engine(settings.database, idle_seconds=settings.lease_seconds)
    return Studio(engine, open_blobs(settings), queue, settings, clock_of(engine, local=utc_now))
