"""`GET /models`."""

from fastapi import APIRouter

from text2song.models import queries
from text2song.models.schemas import ModelOut
from text2song.units import ReaderUnit
from text2song.wire import Page, problem_responses

router = APIRouter(prefix="/models", tags=["models"])


@router.get("", responses=problem_responses(503))
def list_models(reader: ReaderUnit) -> Page[ModelOut]:
    """The models that workers serve, the last served first."""
    return Page(items=queries.describe_all(reader), next_cursor=None)
