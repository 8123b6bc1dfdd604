"""`/generate`, and what of `/audio` and `/prompts` concerns jobs."""

import time
import uuid
from collections.abc import Collection
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Header, Query, Request, Response, status
from starlette.concurrency import run_in_threadpool

from text2song.db.pages import DEFAULT_LIMIT
from text2song.errors import InvalidInput, Unavailable
from text2song.generation import deletion, queries, service
from text2song.generation.examples import REQUESTS
from text2song.generation.schemas import Cancelled, GenerateIn, JobOut, Status
from text2song.jobs.watch import Watcher
from text2song.units import Visit, VisitUnit, WorkUnit
from text2song.wire import IDS_PATTERN, Cursor, Id, Limit, Page, ids_of, problem_responses

router = APIRouter(prefix="/generate", tags=["generation"])
samples_router = APIRouter(prefix="/audio", tags=["audio"])
prompts_router = APIRouter(prefix="/prompts", tags=["prompts"])

ACCEPTED: Final[dict[int | str, dict[str, Any]]] = {
    202: {
        "headers": {
            "Location": {"description": "Where to follow the job.", "schema": {"type": "string"}},
        }
    }
}
WAIT_LIMIT_SECONDS: Final = 60.0
IDS_LIMIT: Final = 100
LOOK_SECONDS: Final = 5.0
"""How often a waiting poll looks whether its client is still there."""
_OF_A_PAGE: Final = ("status", "prompt_id", "cursor", "limit")
_OF_IDS: Final = ("wait", "since")

Wait = Annotated[
    float,
    Query(
        ge=0,
        le=WAIT_LIMIT_SECONDS,
        allow_inf_nan=False,
        description="Seconds to wait for a change before answering.",
    ),
]
IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=200, description="The same key and request give the same job."),
]


@router.post(
    "",
    status_code=status.HTTP_202_ACCEPTED,
    responses=ACCEPTED | problem_responses(404, 422, 503, 507),
)
def submit_generation(
    body: Annotated[GenerateIn, Body(openapi_examples=REQUESTS)],
    work: WorkUnit,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> JobOut:
    """Queue a job; `Location` says where to follow it."""
    job = service.submit(work, body, idempotency_key=idempotency_key)
    response.headers["Location"] = f"/generate/{job.id}"
    return queries.describe(work, [job])[0]


@router.get("", responses=problem_responses(400, 404, 422, 503))
async def list_generations(  # noqa: PLR0913  # each is a query parameter
    visit: VisitUnit,
    *,
    ids: Annotated[
        str | None,
        Query(
            max_length=4000,
            description=f"Ids of jobs, separated by commas; at most {IDS_LIMIT}.",
            json_schema_extra={"pattern": IDS_PATTERN},
        ),
    ] = None,
    wait: Wait = 0,
    since: Annotated[
        str | None,
        Query(
            max_length=2000,
            pattern=r"^[0-9]{1,18}(,[0-9]{1,18})*$",
            description="With `wait`: the sequences already seen, one for each id, or one for all.",
        ),
    ] = None,
    status: Status | None = None,
    prompt_id: Id | None = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Page[JobOut]:
    """The queue and its history, newest first; with `ids`, these jobs in this order.

    With `wait`, the answer comes when the `sequence` of one of them is above its `since`, or when time is up;
    without `since`, at once. A job that is over is no news by itself. `wait` and `since` go with `ids`;
    filters, `cursor` and `limit` go without them.
    """
    _refuse_what_would_be_ignored(visit.request)
    if ids is None:
        return await run_in_threadpool(
            _page, visit, status=status, prompt_id=prompt_id, cursor=cursor, limit=limit
        )
    job_ids = ids_of(ids, most=IDS_LIMIT)
    if wait:
        await _wait(visit, _as_sequences(since, job_ids), seconds=wait)
    return Page(items=await run_in_threadpool(_read, visit, job_ids), next_cursor=None)


@router.get("/{job_id}", responses=problem_responses(404, 422, 503))
async def get_generation(
    job_id: Id,
    visit: VisitUnit,
    wait: Wait = 0,
    since: Annotated[
        int | None, Query(ge=0, le=10**18, description="With `wait`: the sequence already seen.")
    ] = None,
) -> JobOut:
    """One job. With `wait`, the answer comes when its `sequence` is above `since`, or when time is up.

    That is when its status, stage, error or takes change, or its progress by a hundredth. Without `since`, it
    comes at once. A job that is over changes once more where one of its samples is deleted, so stop asking
    at its last `status`.
    """
    if wait:
        await _wait(visit, {job_id: since or 0}, seconds=wait)
    return (await run_in_threadpool(_read, visit, [job_id]))[0]


@router.delete("/{job_id}", responses=problem_responses(404, 422))
def cancel_generation(job_id: Id, work: WorkUnit) -> Cancelled:
    """Cancel a job; its finished takes stay. A job that is over stays as it is, and the answer says so."""
    job, changed = service.cancel(work, job_id)
    unchanged = f"Nothing changed: the job is over already ({job.status})."
    message = "The job is cancelled." if changed else unchanged
    return Cancelled(changed=changed, message=message, job=queries.describe(work, [job])[0])


@router.post(
    "/{job_id}/retry",
    status_code=status.HTTP_202_ACCEPTED,
    responses=ACCEPTED | problem_responses(404, 409, 422, 503, 507),
)
def retry_generation(
    job_id: Id, work: WorkUnit, response: Response, idempotency_key: IdempotencyKey = None
) -> JobOut:
    """Queue a new job for the takes that a failed or cancelled one did not make."""
    job = service.retry(work, job_id, idempotency_key=idempotency_key)
    response.headers["Location"] = f"/generate/{job.id}"
    return queries.describe(work, [job])[0]


@samples_router.delete(
    "/{audio_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problem_responses(404, 409, 422),
)
def delete_audio(audio_id: Id, work: WorkUnit) -> None:
    """Delete a sample for good."""
    deletion.delete_sample(work, audio_id)


@prompts_router.delete(
    "/{prompt_id}", status_code=status.HTTP_204_NO_CONTENT, responses=problem_responses(404, 409, 422)
)
def delete_prompt(prompt_id: Id, work: WorkUnit) -> None:
    """Delete a prompt that no take was made from, and that nobody else waits for."""
    deletion.delete_prompt(work, prompt_id)


def _read(visit: Visit, job_ids: list[uuid.UUID]) -> list[JobOut]:
    with visit.read() as reader:
        return queries.describe(reader, queries.get_all(reader, job_ids))


def _page(
    visit: Visit, *, status: Status | None, prompt_id: uuid.UUID | None, cursor: str | None, limit: int
) -> Page[JobOut]:
    with visit.read() as reader:
        page = queries.find(reader, status=status, prompt_id=prompt_id, cursor=cursor, limit=limit)
        return Page(items=queries.describe(reader, page.rows), next_cursor=page.next_cursor)


def _require_visible(visit: Visit, job_ids: Collection[uuid.UUID]) -> None:
    with visit.read() as reader:
        queries.require_visible(reader, job_ids)


async def _wait(visit: Visit, since: dict[uuid.UUID, int], *, seconds: float) -> None:
    """Wait for news, but not for a client who has gone, and not beyond the server's own end.

    Whether the jobs may be seen is found out first: how long an answer takes would tell of others' jobs.
    """
    await run_in_threadpool(_require_visible, visit, since)
    request = visit.request
    watcher: Watcher = request.app.state.generation_watcher
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        has_news = await watcher.changed(since, timeout_seconds=min(left, LOOK_SECONDS))
        if request.app.state.is_stopping():
            raise Unavailable("the server is stopping: ask again in a moment.")
        if has_news or await request.is_disconnected():
            return


def _refuse_what_would_be_ignored(request: Request) -> None:
    """An answer that leaves out what was asked for looks as if it had regarded it."""
    given = request.query_params
    if "ids" in given:
        if stray := next((name for name in _OF_A_PAGE if name in given), None):
            raise InvalidInput(
                f"{stray} does not go with ids, which names the jobs already: leave out one of the two.",
                field=stray,
            )
    elif stray := next((name for name in _OF_IDS if name in given), None):
        raise InvalidInput(f"{stray} goes with ids: say which jobs to wait for.", field=stray)


def _as_sequences(since: str | None, job_ids: list[uuid.UUID]) -> dict[uuid.UUID, int]:
    seen = [int(part) for part in since.split(",")] if since else [0]
    if len(seen) == 1:
        return dict.fromkeys(job_ids, seen[0])
    if len(seen) != len(job_ids):
        raise InvalidInput("give one sequence for each id, or one for all.", field="since")
    return dict(zip(job_ids, seen, strict=True))
