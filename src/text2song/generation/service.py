"""Submitting, cancelling and retrying generation jobs."""

import secrets
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from text2song.adapters import queries as adapters
from text2song.adapters.tables import Adapter
from text2song.artifacts.digest import canonical_json, sha256_hex
from text2song.audio import queries as audio
from text2song.db import rows
from text2song.errors import Conflict, IdempotencyMismatch, InvalidInput, ModelOutputRejected, Unavailable
from text2song.generation import queries
from text2song.generation.quotas import require_share
from text2song.generation.schemas import GenerateIn, GenerationParams
from text2song.generation.tables import KIND, GenerationJob, GenerationTake
from text2song.jobs import lifecycle
from text2song.jobs.columns import JobStatus
from text2song.model.protocol import frames_in
from text2song.models import queries as models
from text2song.models.tables import Model
from text2song.music.attributes import MusicAttributes
from text2song.music.sampling import SEED_LIMIT, SamplingParams
from text2song.music.spec import AdapterWeight, GenerationSpec
from text2song.prompts import queries as prompts
from text2song.prompts import service as prompt_service
from text2song.prompts.tables import Prompt
from text2song.studio import Work
from text2song.users.audit import note_if_anothers
from text2song.users.ownership import require_own

DEFAULT_DURATION_SECONDS: Final = 10.0


def submit(work: Work, body: GenerateIn, *, idempotency_key: str | None = None) -> GenerationJob:
    """Queue a job for the takes that `body` asks for, and ring.

    With a key, the same request asked again answers the job of the first time.

    Raises:
        InvalidInput, NotFound: when it asks for what cannot be.
        NoModelServed: when no worker ever served a model.
        Unavailable: when too many jobs wait already.
        QuotaExceeded: when the owner's share is used up.
        IdempotencyMismatch: when the key came with another body before.
    """
    return _once(
        work,
        lambda: _again(work, body) if body.from_sample else _new(work, body),
        asked=body.model_dump(mode="json"),
        key=idempotency_key,
    )


def cancel(work: Work, job_id: uuid.UUID) -> tuple[GenerationJob, bool]:
    """Cancel a job, whatever its state; False when it was over already. Finished takes stay.

    Raises:
        NotFound: when there is no such job.
        Forbidden: it is somebody else's.
    """
    job = queries.get(work, job_id)
    require_own(job, work.actor)
    changed = lifecycle.cancel(work.session, GenerationJob, job_id, now=work.clock())
    if changed:
        note_if_anothers(work, job, act="generation.cancel")
    work.session.expire_all()
    return queries.get(work, job_id), changed


def retry(work: Work, job_id: uuid.UUID, *, idempotency_key: str | None = None) -> GenerationJob:
    """A new job for the takes that a failed or cancelled one did not make, linked to it; and ring.

    The takes keep their seeds, except where the model's output was at fault: the same seed would
    give the same output. With a key, the same request asked again answers the job of the first time.

    Raises:
        NotFound: when there is no such job.
        Forbidden: it is somebody else's.
        Conflict: when there is nothing to retry.
        IdempotencyMismatch: when the key came with another request before.
    """
    return _once(work, lambda: _retried(work, job_id), asked={"retry_of": str(job_id)}, key=idempotency_key)


def _once(
    work: Work, make: Callable[[], GenerationJob], *, asked: Mapping[str, Any], key: str | None
) -> GenerationJob:
    """What `make` makes, and a bell; or what it made when the same was asked with the same key before."""
    request_digest = sha256_hex(canonical_json(asked))
    key_digest = None
    if key is not None:
        key_digest = sha256_hex(canonical_json([str(work.actor.user_id or ""), key]))
        if earlier := _earlier(work, key_digest, request_digest):
            return earlier
    try:
        with work.session.begin_nested():
            job = make()
            job.idempotency_digest, job.request_digest = key_digest, request_digest
            work.session.flush()
    except (IntegrityError, Conflict):
        # Two requests with one key at the same time: the other one was first.
        earlier = _earlier(work, key_digest, request_digest) if key_digest else None
        if earlier is None:
            raise
        return earlier
    work.ring(KIND)
    return job


def _retried(work: Work, job_id: uuid.UUID) -> GenerationJob:
    origin = queries.get(work, job_id)
    require_own(origin, work.actor)
    # as everybody does, the prompt before its jobs: who shares it meanwhile has no job that this waits for
    prompts.hold_visibility(work, origin.prompt_id)
    rows.lock(work.session, origin)  # of two that retry it at the same time, the second finds the first's job
    if origin.status not in {JobStatus.FAILED, JobStatus.CANCELLED}:
        raise Conflict(
            f"only a failed or cancelled job can be retried; this one is {origin.status}: submit a new one."
        )
    retrying = select(GenerationJob.id).where(
        GenerationJob.retry_of == origin.id,
        GenerationJob.status.in_([JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.SUCCEEDED]),
    )
    if (other := work.session.scalar(retrying.limit(1))) is not None:
        raise Conflict(f"this job is being retried already, or was: follow GET /generate/{other}.")
    unmade = (
        select(GenerationTake)
        .where(GenerationTake.job_id == origin.id, GenerationTake.status != JobStatus.SUCCEEDED)
        .order_by(GenerationTake.take)
    )
    takes = [_retaken(take) for take in work.session.scalars(unmade)]
    if not takes:
        raise Conflict(
            "every take was made before this job ended, so nothing is left to retry: listen to its samples."
        )
    plan = _Plan(
        sentence=origin.sentence,
        model=models.choose(work, origin.model, field="job_id"),
        num_samples=origin.num_samples,
        sides=origin.sides,
        params=origin.generation_params,
        priority=origin.priority,
        takes=takes,
        user_id=origin.user_id,
        fingerprint=origin.fingerprint,
        from_sample=origin.from_sample,
    )
    job = _add(work, prompts.get(work, origin.prompt_id), plan)
    job.retry_of = origin.id
    note_if_anothers(work, origin, act="generation.retry")
    return job


@dataclass(frozen=True, slots=True)
class _PlannedTake:
    number: int
    side: int
    spec: GenerationSpec
    adapter_id: uuid.UUID | None


@dataclass(frozen=True, slots=True)
class _Plan:
    """A job before it is a row."""

    sentence: str
    model: Model
    num_samples: int
    sides: list[Any]
    params: dict[str, Any]
    priority: int
    takes: Sequence[_PlannedTake]
    user_id: uuid.UUID | None
    """Whose it will be; also where an admin asks for it again."""
    fingerprint: str | None = None
    """Of the only weights that will do."""
    from_sample: uuid.UUID | None = None
    """The sample that is made again."""


def _new(work: Work, body: GenerateIn) -> GenerationJob:
    """From a prompt and parameters."""
    if body.prompt is not None:
        prompt = prompt_service.create(work, body.prompt)
    elif body.prompt_id is not None:
        prompt = prompts.get(work, body.prompt_id)
    else:
        raise InvalidInput("give either prompt_id or prompt.", field="prompt")
    model = models.choose(work, body.model)
    sides = _resolved_sides(work, _asked_sides(body), model)
    params = _resolved_params(body.generation_params, prompt, model)
    sentence = prompts.sentence_of(prompt)
    first = GenerationSpec(
        sentence=sentence,
        seed=params["seed"],
        duration_seconds=params["duration"],
        sampling=SamplingParams.from_json(params),
    )
    takes = [
        _PlannedTake(
            number=number,
            side=number // body.num_samples,
            spec=replace(
                first,
                seed=(first.seed + number % body.num_samples) % (SEED_LIMIT + 1),
                adapters=tuple(AdapterWeight(adapter.digest, weight) for adapter, weight in side),
            ),
            adapter_id=side[0][0].id if len(side) == 1 else None,
        )
        for number, side in enumerate(side for side in sides for _ in range(body.num_samples))
    ]
    plan = _Plan(
        sentence=sentence,
        model=model,
        num_samples=body.num_samples,
        sides=_as_json(sides),
        params=params,
        priority=body.priority,
        takes=takes,
        user_id=work.actor.user_id,
    )
    return _add(work, prompt, plan)


def _again(work: Work, body: GenerateIn) -> GenerationJob:
    """From the record of a sample, which is enough to make it again."""
    if body.from_sample is None:
        raise InvalidInput("say which sample to make again.", field="from_sample")
    sample = audio.get(work, body.from_sample)
    model = models.choose(work, sample.model, field="from_sample")
    if model.fingerprint != sample.provenance["fingerprint"]:
        raise Conflict(
            f"{model.name} has other weights now than when it made this sample, and would make another one. "
            "Serve the model whose fingerprint is in the sample's provenance, or submit its prompt anew.",
            field="from_sample",
        )
    spec = GenerationSpec.from_json(sample.generation_params)
    asked = [_AskedAdapter("from_sample", adapter.digest, adapter.weight) for adapter in spec.adapters]
    plan = _Plan(
        sentence=spec.sentence,
        model=model,
        num_samples=1,
        sides=_as_json(_resolved_sides(work, [asked], model)),
        params={"seed": spec.seed, **spec.sampling.as_json(), "duration": spec.duration_seconds},
        priority=body.priority,
        takes=[_PlannedTake(number=0, side=0, spec=spec, adapter_id=sample.adapter_id)],
        user_id=work.actor.user_id,
        fingerprint=model.fingerprint,
        from_sample=sample.id,
    )
    return _add(work, prompts.get(work, sample.prompt_id), plan)


def _add(work: Work, prompt: Prompt, plan: _Plan) -> GenerationJob:
    _require_room(work, plan.model)
    durations = [take.spec.duration_seconds for take in plan.takes]
    require_share(work, plan.user_id, seconds=sum(durations))
    job = GenerationJob(
        prompt_id=prompt.id,
        user_id=plan.user_id,
        visibility=prompts.hold_visibility(work, prompt.id),
        turn_key=str(plan.user_id or ""),
        priority=plan.priority,
        rows=len(plan.takes),
        cost=sum(durations),
        frames_total=sum(frames_in(seconds, frame_rate=plan.model.frame_rate) for seconds in durations),
        sentence=plan.sentence,
        model=plan.model.name,
        fingerprint=plan.fingerprint,
        num_samples=plan.num_samples,
        sides=plan.sides,
        generation_params=plan.params,
        from_sample=plan.from_sample,
        created_at=work.clock(),
    )
    work.session.add(job)
    work.session.flush()
    work.session.add_all(
        GenerationTake(
            job_id=job.id,
            take=take.number,
            side=take.side,
            seed=take.spec.seed,
            spec=take.spec.as_json(),
            adapter_id=take.adapter_id,
        )
        for take in plan.takes
    )
    work.session.flush()
    return job


@dataclass(frozen=True, slots=True)
class _AskedAdapter:
    """An adapter of a side, as a request or a sample's record names it."""

    field: str
    """Where the request says so."""
    reference: str
    weight: float


_Side: TypeAlias = list[tuple[Adapter, float]]
"""The adapters that act together, each with its weight."""


def _asked_sides(body: GenerateIn) -> list[list[_AskedAdapter]]:
    if body.adapter_id is not None:
        return [[_AskedAdapter("adapter_id", str(body.adapter_id), 1.0)]]
    return [
        [
            _AskedAdapter(f"sides.{s}.{i}.adapter", choice.adapter, choice.weight)
            for i, choice in enumerate(side)
        ]
        for s, side in enumerate(body.sides or [[]])
    ]


def _resolved_sides(work: Work, asked: list[list[_AskedAdapter]], model: Model) -> list[_Side]:
    everyone = [choice for side in asked for choice in side]
    found = adapters.resolve(work, [(choice.field, choice.reference) for choice in everyone])
    for choice, adapter in zip(everyone, found, strict=True):
        if adapter.base_model != model.name:
            raise InvalidInput(
                f"{adapter.name}@{adapter.version} was trained on {adapter.base_model} and cannot act on "
                f"{model.name}: choose that model, or an adapter of this one.",
                field=choice.field,
            )
    in_turn = iter(found)
    return [[(next(in_turn), choice.weight) for choice in side] for side in asked]


def _as_json(sides: Sequence[_Side]) -> list[Any]:
    return [[{"adapter_id": str(adapter.id), "weight": weight} for adapter, weight in side] for side in sides]


def _resolved_params(asked: GenerationParams, prompt: Prompt, model: Model) -> dict[str, Any]:
    attributes = MusicAttributes.from_json(prompt.attributes)
    default = min(DEFAULT_DURATION_SECONDS, model.max_duration_seconds)
    duration = asked.duration or attributes.duration_seconds or default
    if duration > model.max_duration_seconds:
        raise InvalidInput(
            f"{model.name} makes at most {model.max_duration_seconds:g} seconds, not {duration:.12g}: "
            "ask for a shorter take.",
            field="generation_params.duration" if asked.duration else "prompt.attributes.duration",
        )
    seed = secrets.randbelow(SEED_LIMIT + 1) if asked.seed is None else asked.seed
    return {**asked.model_dump(), "seed": seed, "duration": duration}


def _retaken(take: GenerationTake) -> _PlannedTake:
    spec = GenerationSpec.from_json(take.spec)
    if take.error_code == ModelOutputRejected.code:
        spec = replace(spec, seed=secrets.randbelow(SEED_LIMIT + 1))
    return _PlannedTake(number=take.take, side=take.side, spec=spec, adapter_id=take.adapter_id)


def _require_room(work: Work, model: Model) -> None:
    query = select(func.count()).select_from(GenerationJob)
    waiting = work.session.scalar(
        query.where(GenerationJob.status == JobStatus.QUEUED, GenerationJob.model == model.name)
    )
    if (waiting or 0) >= work.settings.max_queued_jobs:
        raise Unavailable(
            f"{waiting} jobs wait for {model.name} already, which is the limit. Wait until some are done, or "
            "cancel some (DELETE /generate/{id})."
        )


def _earlier(work: Work, key_digest: str, request_digest: str) -> GenerationJob | None:
    job = work.session.scalar(select(GenerationJob).where(GenerationJob.idempotency_digest == key_digest))
    if job is not None and job.request_digest != request_digest:
        raise IdempotencyMismatch(
            "this Idempotency-Key came with another request before: use a new key for a new request."
        )
    return queries.get(work, job.id) if job else None  # an admin retried it, who may be none any more
