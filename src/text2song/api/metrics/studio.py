"""How the studio stands, read from its database when somebody scrapes.

Two looks, each kept for a while: what is open costs an index's range, and what is finished or stored grows
with all that was ever made, so the second is looked at the more seldom, the longer it takes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from text2song.api.metrics.kept import Kept
from text2song.audio.volume import Volume, measure
from text2song.errors import StudioError
from text2song.generation.tables import KIND as GENERATION
from text2song.generation.tables import GenerationJob
from text2song.jobs.columns import JobColumns, JobStatus
from text2song.jobs.depth import Depth, depths
from text2song.jobs.tally import failures, finished
from text2song.models import queries as models
from text2song.models.tables import Model
from text2song.studio import Reader, Studio

log = structlog.get_logger(__name__)

JOB_TABLES: Final[Mapping[str, type[JobColumns]]] = MappingProxyType({GENERATION: GenerationJob})


@dataclass(frozen=True, slots=True)
class ModelNow:
    """One model that living workers serve."""

    workers: int
    capacity_rows: int
    rows_running: int
    frames_per_second: float


@dataclass(frozen=True, slots=True)
class Now:
    """What is open at this moment."""

    depths: Mapping[str, Depth]
    models: Mapping[str, ModelNow]


@dataclass(frozen=True, slots=True)
class Made:
    """What was made until now."""

    jobs: Mapping[str, Mapping[str, int]]
    failures: Mapping[str, Mapping[str, int]]
    volume: Volume


class StudioNumbers(Collector):
    """The gauges; where the database does not answer, that alone is said."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._now = Kept(lambda: _now(studio))
        self._made = Kept(lambda: _made(studio))

    def collect(self) -> Iterator[Metric]:
        """Called at each scrape."""
        try:
            now, made = self._now(), self._made()
        except StudioError as error:
            log.warning("no numbers of the studio", code=error.code)
            yield GaugeMetricFamily("text2song_database_up", "Whether the database answers.", value=0)
            return
        yield GaugeMetricFamily("text2song_database_up", "Whether the database answers.", value=1)
        yield from _of_jobs(now, made)
        yield from _of_models(now)
        yield from _of_samples(made.volume)

    def describe(self) -> Iterator[Metric]:
        """Nothing: a registry would otherwise collect, and so read the database, to learn the names."""
        yield from ()


def _now(studio: Studio) -> Now:
    with studio.read() as reader:
        return Now(depths(reader.session, JOB_TABLES, now=reader.clock()), _models(reader))


def _made(studio: Studio) -> Made:
    with studio.read() as reader:
        jobs = {kind: finished(reader.session, table) for kind, table in JOB_TABLES.items()}
        failed = {kind: failures(reader.session, table) for kind, table in JOB_TABLES.items()}
        return Made(jobs, failed, measure(reader))


def _models(reader: Reader) -> dict[str, ModelNow]:
    alive = models.alive_workers(reader)
    served = reader.session.scalars(select(Model).where(Model.id.in_(alive)))
    rows = (
        select(GenerationJob.model, func.sum(GenerationJob.rows_begun))
        .where(GenerationJob.status == JobStatus.RUNNING)
        .group_by(GenerationJob.model)
    )
    running = {name: int(number) for name, number in reader.session.execute(rows)}
    return {
        model.name: ModelNow(
            workers=len(alive[model.id]),
            capacity_rows=sum(worker.capacity for worker in alive[model.id]),
            rows_running=running.get(model.name, 0),
            frames_per_second=model.frame_rate * sum(worker.speed or 0.0 for worker in alive[model.id]),
        )
        for model in served
    }


def _of_jobs(now: Now, made: Made) -> Iterator[Metric]:
    jobs = GaugeMetricFamily("text2song_jobs", "Jobs by kind and state.", labels=["kind", "state"])
    oldest = GaugeMetricFamily(
        "text2song_oldest_waiting_job_seconds",
        "How long the oldest job that is ready has waited; 0 where none does. Start more workers by it.",
        labels=["kind"],
    )
    for kind, depth in now.depths.items():
        states = {"waiting": depth.waiting, "delayed": depth.delayed, "running": depth.running}
        for state, number in {**states, **made.jobs[kind]}.items():
            jobs.add_metric([kind, state], number)
        oldest.add_metric([kind], depth.oldest_waiting_seconds)
    failed = GaugeMetricFamily(
        "text2song_failed_jobs", "Failed jobs by the error that ended them.", labels=["kind", "code"]
    )
    for kind, codes in made.failures.items():
        for code, number in codes.items():
            failed.add_metric([kind, code], number)
    yield from (jobs, oldest, failed)


def _of_models(now: Now) -> Iterator[Metric]:
    told = {
        "text2song_workers": ("Workers that were heard of lately.", "workers"),
        "text2song_capacity_rows": ("Takes that these workers can make at the same time.", "capacity_rows"),
        "text2song_running_rows": (
            "Takes in the making; by capacity, how full batches are.",
            "rows_running",
        ),
        "text2song_frames_per_second": (
            "Codec frames that these workers make, measured.",
            "frames_per_second",
        ),
    }
    for name, (meaning, field) in told.items():
        family = GaugeMetricFamily(name, meaning, labels=["model"])
        for model, numbers in now.models.items():
            family.add_metric([model], getattr(numbers, field))
        yield family


def _of_samples(volume: Volume) -> Iterator[Metric]:
    yield GaugeMetricFamily("text2song_samples", "Takes that are kept.", value=volume.samples)
    yield GaugeMetricFamily(
        "text2song_samples_audio_seconds", "Seconds of audio in them.", value=volume.audio_seconds
    )
    yield GaugeMetricFamily(
        "text2song_samples_bytes",
        "Bytes of their sound files; equal files are counted as often as they occur.",
        value=volume.size_bytes,
    )
