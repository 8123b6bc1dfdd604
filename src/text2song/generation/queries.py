"""Reading generation jobs: how far they are, when they will be done, what they made."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Double, case, cast, func, select

from text2song.audio.schemas import ResolvedParams
from text2song.audio.tables import AudioSample
from text2song.db import rows
from text2song.db.pages import RowPage
from text2song.generation.schemas import AdapterChoice, JobError, JobOut, JobSampleOut, Status, TakeOut
from text2song.generation.tables import GenerationJob, GenerationTake
from text2song.jobs.columns import JobStatus
from text2song.jobs.order import Place, places
from text2song.models import queries as models
from text2song.models.tables import Model
from text2song.studio import Reader
from text2song.users.ownership import page, visible

_PLACE: Final = rows.Place("generation job", "/generate")
COMPOSING_SHARE: Final = 0.8
"""Of the work on a take; the rest is rendering, of which nothing is heard until it is over. A trained model
renders faster than that, the untrained one slower."""


def get(reader: Reader, job_id: uuid.UUID) -> GenerationJob:
    """The job with that id.

    Raises:
        NotFound: when there is none that the actor may see.
    """
    return rows.get(reader.session, GenerationJob, job_id, place=_visible_to(reader))


def get_all(reader: Reader, job_ids: Sequence[uuid.UUID]) -> list[GenerationJob]:
    """These jobs, in this order.

    Raises:
        NotFound: when one of them does not exist for the actor.
    """
    return rows.get_all(reader.session, GenerationJob, job_ids, place=_visible_to(reader))


def require_visible(reader: Reader, job_ids: Collection[uuid.UUID]) -> None:
    """Check that the actor may see all of these jobs, without reading more of them.

    Raises:
        NotFound: when one of them does not exist for the actor.
    """
    rows.require(reader.session, GenerationJob, job_ids, place=_visible_to(reader))


def find(
    reader: Reader, *, status: Status | None, prompt_id: uuid.UUID | None, cursor: str | None, limit: int
) -> RowPage[GenerationJob]:
    """A page of jobs, newest first."""
    wanted = {GenerationJob.status: status, GenerationJob.prompt_id: prompt_id}
    query = rows.matching(select(GenerationJob), wanted)
    return page(reader, query, table=GenerationJob, cursor=cursor, limit=limit)


def sequences(reader: Reader, job_ids: Collection[uuid.UUID]) -> Mapping[uuid.UUID, int]:
    """For each of these jobs that exists, whosever it is: its sequence."""
    query = select(GenerationJob.id, GenerationJob.sequence)
    found = reader.session.execute(query.where(GenerationJob.id.in_(job_ids)))
    return {row.id: row.sequence for row in found}


def describe(reader: Reader, jobs: Sequence[GenerationJob]) -> list[JobOut]:
    """The wire forms; the number of queries grows with the models that jobs wait for, not with the jobs.

    A job that is over costs three: its takes, what they made, and its model's notice.
    """
    takes = _takes(reader, [job.id for job in jobs])
    samples = _samples(reader, takes)
    outlook = _outlook(reader, jobs)
    return [_described(job, takes[job.id], samples, outlook) for job in jobs]


def _visible_to(reader: Reader) -> rows.Place:
    return visible(_PLACE, GenerationJob, reader.actor)


@dataclass(frozen=True, slots=True)
class _Outlook:
    """What the estimates are made of."""

    places: Mapping[uuid.UUID, Place]
    speeds: Mapping[str, float]
    """Seconds of audio a second, of all living workers of a model together."""
    running_costs: Mapping[str, float]
    """Seconds of audio that takes of a model which have begun still have to make."""
    understandings: Mapping[str, models.Understanding]
    served: Collection[str]
    """Models that a living worker serves."""

    def notice(self, job: GenerationJob) -> str | None:
        if job.status == JobStatus.QUEUED and job.model not in self.served:
            return (
                f"No worker serves {job.model} now, so this job waits: start one with "
                f"TEXT2SONG_MODEL={job.model}, or cancel the job."
            )
        understanding = self.understandings.get(job.model)
        return understanding.notice(job.sentence) if understanding is not None else None

    def eta_seconds(self, job: GenerationJob, *, done: float) -> float | None:
        speed = self.speeds.get(job.model)
        if speed is None or job.is_final:
            return None
        remaining = job.cost * (1 - done)
        place = self.places.get(job.id)
        ahead = place.cost_ahead + self.running_costs.get(job.model, 0.0) if place else 0.0
        return round((ahead + remaining) / speed, 1)


def _takes(reader: Reader, job_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[GenerationTake]]:
    query = select(GenerationTake).where(GenerationTake.job_id.in_(job_ids)).order_by(GenerationTake.take)
    takes: dict[uuid.UUID, list[GenerationTake]] = defaultdict(list)
    for take in reader.session.scalars(query):
        takes[take.job_id].append(take)
    return takes


def _samples(reader: Reader, takes: Mapping[uuid.UUID, Sequence[GenerationTake]]) -> dict[uuid.UUID, float]:
    """Seconds, by the id of the sample."""
    made = [take.audio_id for of_job in takes.values() for take in of_job if take.audio_id]
    if not made:
        return {}
    query = select(AudioSample.id, AudioSample.duration_seconds).where(AudioSample.id.in_(made))
    return {row.id: row.duration_seconds for row in reader.session.execute(query)}


def _outlook(reader: Reader, jobs: Sequence[GenerationJob]) -> _Outlook:
    names = {job.model for job in jobs}
    waiting = {job.model for job in jobs if job.status == JobStatus.QUEUED}
    known = list(reader.session.scalars(select(Model).where(Model.name.in_(names))))
    # what is over has no estimate and waits for no worker
    workers = {} if all(job.is_final for job in jobs) else models.alive_workers(reader)
    speeds = {model.name: sum(w.speed or 0.0 for w in workers.get(model.id, ())) for model in known}
    where_they_stand: dict[uuid.UUID, Place] = {}
    for name in waiting:
        queued = [job.id for job in jobs if job.model == name and job.status == JobStatus.QUEUED]
        where_they_stand |= places(
            reader.session, GenerationJob, queued, where=GenerationJob.model == name, now=reader.clock()
        )
    return _Outlook(
        places=where_they_stand,
        speeds={name: speed for name, speed in speeds.items() if speed > 0},
        running_costs=_running_costs(reader, waiting),
        understandings={model.name: models.understanding_of(model) for model in known},
        served={model.name for model in known if model.id in workers},
    )


def _running_costs(reader: Reader, names: Collection[str]) -> dict[str, float]:
    if not names:
        return {}
    job = GenerationJob
    to_come = case(
        (job.rows > job.rows_begun, (job.rows - job.rows_begun) / cast(job.rows, Double)), else_=0.0
    )
    # What of it has not begun stands in line, and is counted where that is (`Place.cost_ahead`).
    in_line = job.cost * (1 - job.progress) * to_come
    left = func.sum(job.cost * (1 - COMPOSING_SHARE * job.progress) - in_line)
    query = (
        select(GenerationJob.model, left.label("left"))
        .where(GenerationJob.status == JobStatus.RUNNING, GenerationJob.model.in_(names))
        .group_by(GenerationJob.model)
    )
    return {row.model: float(row.left) for row in reader.session.execute(query)}


def _described(
    job: GenerationJob,
    takes: Sequence[GenerationTake],
    durations: Mapping[uuid.UUID, float],
    outlook: _Outlook,
) -> JobOut:
    place = outlook.places.get(job.id)
    done = _done(job, takes)
    return JobOut(
        id=job.id,
        status=_status(job.status),
        progress=round(done, 4),
        stage=job.stage,
        frames_done=round(job.progress * job.frames_total),
        frames_total=job.frames_total,
        position=place.position if place else None,
        eta_seconds=outlook.eta_seconds(job, done=done),
        sequence=job.sequence,
        attempts=job.attempts,
        error=_error(job.error_code, job.error_message),
        prompt_id=job.prompt_id,
        sentence=job.sentence,
        model=job.model,
        notice=outlook.notice(job),
        priority=job.priority,
        num_samples=job.num_samples,
        sides=[
            [AdapterChoice(adapter=a["adapter_id"], weight=a["weight"]) for a in side] for side in job.sides
        ],
        generation_params=ResolvedParams.model_validate(job.generation_params),
        from_sample=job.from_sample,
        takes=[_take(job, take) for take in takes],
        samples=[
            JobSampleOut(
                id=take.audio_id,
                take=take.take,
                side=take.side,
                seed=take.seed,
                adapter_id=take.adapter_id,
                stream_url=f"/audio/{take.audio_id}/stream",
                duration_seconds=durations[take.audio_id],
            )
            for take in takes
            if take.audio_id is not None and take.audio_id in durations
        ],
        retry_of=job.retry_of,
        user_id=job.user_id,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
    )


def _done(job: GenerationJob, takes: Sequence[GenerationTake]) -> float:
    """The share of the work that is done: of all frames, and of the takes that were rendered too."""
    ended = sum(take.spec["duration"] for take in takes if take.status != JobStatus.QUEUED)
    rendered = ended / sum(take.spec["duration"] for take in takes) if takes else job.progress
    return COMPOSING_SHARE * job.progress + (1 - COMPOSING_SHARE) * rendered


def _take(job: GenerationJob, take: GenerationTake) -> TakeOut:
    has_ended = take.status != JobStatus.QUEUED
    # A take without an end of its own shares its job's fate.
    return TakeOut(
        take=take.take,
        side=take.side,
        status=_status(take.status if has_ended else job.status),
        seed=take.seed,
        adapter_id=take.adapter_id,
        audio_id=take.audio_id,
        error=_error(take.error_code, take.error_message),
    )


def _status(stored: str) -> Status:
    return JobStatus(stored).value


def _error(code: str | None, message: str | None) -> JobError | None:
    return JobError(code=code, message=message or "") if code is not None else None
