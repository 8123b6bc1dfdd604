"""`GET /models`."""

from fastapi import APIRouter

from text2song.db.pages import DEFAULT_LIMIT
from text2song.models import queries
from text2song.models.schemas import ModelOut
from text2song.units import ReaderUnit
from text2song.wire import Cursor, Limit, Page, problem_responses

router = APIRouter(prefix="/models", tags=["models"])


@router.get("", responses=problem_responses(400, 422))
def list_models(
    reader: ReaderUnit,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Page[ModelOut]:
    """The models that workers serve or have served, newest first, with the workers that live."""
    page = queries.find(reader, cursor=cursor, limit=limit)
    return Page(items=queries.describe(reader, page.rows), next_cursor=page.next_cursor)
