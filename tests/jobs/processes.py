"""What tests run in processes of their own: workers that count, and one that is frozen at its work."""

import datetime as dt
import os
import signal
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier, Event

from sqlalchemy import ColumnElement, select, true

from text2song.blobs.memory import MemoryBlobs
from text2song.db.engine import open_engine
from text2song.errors import ClaimLost
from text2song.generation.tables import KIND, GenerationJob
from text2song.jobs import lifecycle
from text2song.jobs.lifecycle import Claim
from text2song.jobs.open import open_queue
from text2song.jobs.queue import SilentQueue
from text2song.jobs.runner import Runner
from text2song.jobs.shift import Pace, Shift
from text2song.settings import load_settings
from text2song.studio import Studio


class Counting:
    """A handler that notes each job and is done with it at once."""

    table = GenerationJob

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.done: list[str] = []

    def accepts(self) -> ColumnElement[bool]:
        return true()

    def run(self, shift: Shift) -> None:
        claim = shift.next_turn()
        if claim is not None:
            self.do(claim, shift)

    def do(self, claim: Claim, shift: Shift) -> None:
        with self.studio.work() as work:
            lifecycle.finish(work.session, self.table, claim, now=work.clock())
        shift.drop(claim)
        self.done.append(str(claim.job_id))


def studio_over(database: str) -> Studio:
    """The studio over the database at this URL, with the wall clock."""
    return Studio(open_engine(database), MemoryBlobs(), SilentQueue(), load_settings({}))


def work_at_every_bell(
    database: str, bells: int, everybody_is_here: Barrier, done: "Queue[list[str]]"
) -> None:
    """Look for work `bells` times, as a worker that hears each bell; put the ids of what was done."""
    studio = studio_over(database)
    handler = Counting(studio)
    runner = Runner(studio.work, SilentQueue(), {KIND: handler}, worker=str(os.getpid()), pace=Pace())
    everybody_is_here.wait(60)
    for _ in range(bells):
        runner.run(KIND)
    done.put(handler.done)


class Freezing(Counting):
    """A handler that stops its own process in the middle, and writes when it is woken."""

    def __init__(self, studio: Studio, woken: "Queue[str]") -> None:
        super().__init__(studio)
        self._woken = woken

    def do(self, claim: Claim, shift: Shift) -> None:
        self._woken.put("working")
        time.sleep(0.3)  # a few beats, and time for the word to leave this process
        self._wait_for_a_beat()  # or it could be frozen while it holds the database
        os.kill(os.getpid(), signal.SIGSTOP)
        try:
            super().do(claim, shift)
        except ClaimLost as error:
            self._woken.put(error.code)
            raise
        self._woken.put("wrote")

    def _wait_for_a_beat(self) -> None:
        def told() -> object:
            with self.studio.read() as reader:
                return reader.session.scalar(select(GenerationJob.lease_renewed_at))

        before = told()
        while told() == before:
            time.sleep(0.005)


class Choosy(Counting):
    """A handler for the jobs of one model."""

    def __init__(self, studio: Studio, model: str) -> None:
        super().__init__(studio)
        self._model = model

    def accepts(self) -> ColumnElement[bool]:
        return GenerationJob.model == self._model


def listen_for(database: str, url: str, model: str, everybody_is_here: Barrier, may_end: Event) -> None:
    """A worker of one model, which only bells wake."""
    with closing(open_queue(url)) as queue:
        studio = replace(studio_over(database), queue=queue)
        runner = Runner(studio.work, queue, {KIND: Choosy(studio, model)}, worker=model, pace=Pace())
        queue.start(runner, sweep_seconds=3600)
        everybody_is_here.wait(60)
        may_end.wait(60)
        queue.stop(runner)


def freeze_at_work(database: str, pace: Pace, woken: "Queue[str]", may_end: Event) -> None:
    """Claim what there is, freeze, and go on once the process is woken."""
    studio = studio_over(database)
    runner = Runner(studio.work, SilentQueue(), {KIND: Freezing(studio, woken)}, worker="frozen", pace=pace)
    runner.run(KIND)
    woken.put("ended")
    may_end.wait(30)


def seconds_until(claim: Callable[[], object], *, limit_seconds: float) -> float:
    """How long it takes until `claim` answers something true."""
    began = dt.datetime.now(dt.UTC)
    while not claim():
        waited = (dt.datetime.now(dt.UTC) - began).total_seconds()
        if waited > limit_seconds:
            raise TimeoutError(f"nothing after {waited:.1f} s")
        time.sleep(0.02)
    return (dt.datetime.now(dt.UTC) - began).total_seconds()
