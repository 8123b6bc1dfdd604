"""One studio whose workers are processes of their own, woken through a real Redis or Valkey."""

import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import func, select

from tests.doorbells import Broker, opened_broker
from tests.jobs.workshop import wait_until
from text2song.audio.tables import AudioSample
from text2song.generation import service as generation
from text2song.generation.schemas import GenerateIn
from text2song.generation.tables import GenerationJob, GenerationTake
from text2song.jobs.open import open_queue
from text2song.models.tables import ModelWorker
from text2song.names import NOISE_MODEL
from text2song.settings import load_settings
from text2song.studio import Studio, open_studio

ROOT = Path(__file__).parents[2]
START_SECONDS = 90.0
LEASE_SECONDS = 5.0
"""Long enough for a worker on a machine that many tests keep busy."""
SWEEP_SECONDS = 2.0


@dataclass
class WorkerProcess:
    """`text2song worker`, and what it logged."""

    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self, *, timeout_seconds: float = 60) -> int:
        """Its exit code, once it has ended."""
        return self.process.wait(timeout_seconds)


@dataclass
class Worksite:
    """The side of the API, in this process, and the workers elsewhere."""

    home: Path
    broker: Broker
    studio: Studio
    environment: dict[str, str]
    program: str = "text2song.cli"
    """The module that is run as a worker."""
    workers: list[WorkerProcess] = field(default_factory=list)

    def hire(self, *options: str) -> WorkerProcess:
        """Start a worker; `ready` says when it works."""
        log = self.home.parent / f"worker-{len(self.workers)}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", self.program, "worker", *options],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
            )
        self.workers.append(WorkerProcess(process, log))
        return self.workers[-1]

    def wait_for(self, *workers: WorkerProcess) -> None:
        """Until all these have announced themselves."""
        self.wait_until(lambda: self.are_ready(*workers), limit_seconds=START_SECONDS)

    def are_ready(self, *workers: WorkerProcess) -> bool:
        """Whether all these have announced themselves."""
        return {worker.pid for worker in workers} <= self._announced()

    def living(self, count: int) -> list[WorkerProcess]:
        """So many workers, hiring where there are fewer."""
        alive = [worker for worker in self.workers if worker.process.poll() is None]
        alive += [self.hire() for _ in range(count - len(alive))]
        self.wait_for(*alive)
        return alive[:count]

    def submit(self, *, takes: int = 1, duration_seconds: float = 0.5) -> uuid.UUID:
        """As the API does it."""
        asked = {
            "prompt": {"text": "a slow walk home"},
            "num_samples": takes,
            "generation_params": {"seed": 7, "duration": duration_seconds},
        }
        with self.studio.work() as work:
            return generation.submit(work, GenerateIn.model_validate(asked)).id

    def job(self, job_id: uuid.UUID) -> GenerationJob:
        with self.studio.read() as reader:
            return reader.session.get_one(GenerationJob, job_id)

    def finished(self, *job_ids: uuid.UUID, timeout_seconds: float = 60) -> list[GenerationJob]:
        """These jobs, once all are over."""
        for job_id in job_ids:
            self.wait_until(lambda: self.job(job_id).is_final, limit_seconds=timeout_seconds)  # noqa: B023  # in this round
        return [self.job(job_id) for job_id in job_ids]

    def wait_until(self, is_so: Callable[[], bool], *, limit_seconds: float = 30) -> None:
        """Looks seldom: the workers need the processors."""
        wait_until(is_so, limit_seconds=limit_seconds, look_seconds=0.05)

    def worker_of(self, job_id: uuid.UUID) -> WorkerProcess:
        """Who claimed it."""
        pid = int((self.job(job_id).claimed_by or "").rpartition(":")[2])
        [worker] = [worker for worker in self.workers if worker.pid == pid]
        return worker

    def require_each_take_once(self, job_ids: Sequence[uuid.UUID], *, takes: int) -> None:
        """Every take has a sample of its own, and there is no sample that no take knows."""
        with self.studio.read() as reader:
            made = reader.session.scalars(
                select(GenerationTake.audio_id).where(GenerationTake.job_id.in_(job_ids))
            ).all()
            everywhere = reader.session.scalar(select(func.count()).select_from(AudioSample))
            known = reader.session.scalar(select(func.count(GenerationTake.audio_id)))
        assert None not in made
        assert len(made) == len(set(made)) == takes
        assert everywhere == known

    def _announced(self) -> set[int]:
        with self.studio.read() as reader:
            names = reader.session.scalars(select(ModelWorker.name).where(ModelWorker.left_at.is_(None)))
            return {int(name.rpartition(":")[2]) for name in names}


@contextmanager
def opened_worksite(folder: Path, *, database: Path, models: Path) -> Iterator[Worksite]:
    """A worksite whose workers are gone when the `with` block ends."""
    home = folder / "home"
    home.mkdir()
    shutil.copy(database, home / "studio.db")
    shutil.copytree(models, home / "models")
    with opened_broker(password="sesame") as broker:
        given = {
            "TEXT2SONG_HOME": str(home),
            "TEXT2SONG_MODEL": NOISE_MODEL,
            "TEXT2SONG_QUEUE_URL": broker.url,
            "TEXT2SONG_CAPACITY": "2",
            "TEXT2SONG_LEASE_SECONDS": str(LEASE_SECONDS),
            "TEXT2SONG_SWEEP_SECONDS": str(SWEEP_SECONDS),
        }
        with worksite_at(home, broker=broker, given=given) as site:
            yield site


@contextmanager
def worksite_at(home: Path, *, broker: Broker, given: Mapping[str, str]) -> Iterator[Worksite]:
    """The worksite of these settings, over a database that is migrated."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TEXT2SONG_")}
    with closing(open_queue(broker.url)) as queue:
        studio = open_studio(load_settings(given), queue=queue)
        site = Worksite(home, broker, studio, {**kept, **given})
        try:
            yield site
        finally:
            for worker in site.workers:
                worker.process.kill()
                worker.process.wait()
            studio.engine.dispose()
