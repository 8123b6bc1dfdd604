"""`/prompts`."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, status

from text2song.db.pages import DEFAULT_LIMIT
from text2song.prompts import queries, service
from text2song.prompts.schemas import PromptIn, PromptOut, PromptPatch
from text2song.units import ReaderUnit, WorkUnit
from text2song.users.ownership import Visibility
from text2song.wire import NO_NULS, Cursor, Id, Limit, Page, problem_responses

router = APIRouter(prefix="/prompts", tags=["prompts"])


@router.post("", status_code=status.HTTP_201_CREATED, responses=problem_responses(400, 415, 422))
def create_prompt(body: PromptIn, work: WorkUnit, response: Response) -> PromptOut:
    """Store a prompt."""
    prompt = service.create(work, body)
    response.headers["Location"] = f"/prompts/{prompt.id}"
    return queries.describe(prompt)


@router.get("", responses=problem_responses(400, 422))
def list_prompts(
    reader: ReaderUnit,
    q: Annotated[
        str | None,
        Query(
            max_length=200,
            pattern=NO_NULS,
            description="Words that must all occur, in any order; case does not matter.",
        ),
    ] = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Page[PromptOut]:
    """Prompts, newest first."""
    page = queries.find(reader, search=q, cursor=cursor, limit=limit)
    return Page(items=[queries.describe(prompt) for prompt in page.rows], next_cursor=page.next_cursor)


@router.get("/{prompt_id}", responses=problem_responses(404, 422))
def get_prompt(prompt_id: Id, reader: ReaderUnit) -> PromptOut:
    """One prompt."""
    return queries.describe(queries.get(reader, prompt_id))


@router.patch("/{prompt_id}", responses=problem_responses(404, 422))
def change_prompt(prompt_id: Id, body: PromptPatch, work: WorkUnit) -> PromptOut:
    """Share a prompt with everybody who is logged in, or keep it to oneself; its takes follow it."""
    return queries.describe(service.show(work, prompt_id, to=Visibility(body.visibility)))
