"""Reading prompts."""

import unicodedata
import uuid
from typing import Final

from sqlalchemy import select

from text2song.db import rows
from text2song.db.pages import RowPage
from text2song.errors import NotFound
from text2song.music.attributes import INVISIBLE, MusicAttributes
from text2song.music.sentence import render
from text2song.prompts.schemas import Attributes, PromptOut
from text2song.prompts.tables import Prompt
from text2song.studio import Reader, Work
from text2song.users.ownership import Visibility, page, visible

_PLACE: Final = rows.Place("prompt", "/prompts")


def get(reader: Reader, prompt_id: uuid.UUID) -> Prompt:
    """The prompt with that id.

    Raises:
        NotFound: when there is none that the actor may see.
    """
    return rows.get(reader.session, Prompt, prompt_id, place=visible(_PLACE, Prompt, reader.actor))


def hold_visibility(work: Work, prompt_id: uuid.UUID) -> str:
    """Who sees a prompt and all that comes from it; nobody changes that before this unit's end.

    A row for a job or a take must say the same, and PostgreSQL would let another unit change it between.

    Raises:
        NotFound: when the prompt has gone.
    """
    query = select(Prompt.visibility).where(Prompt.id == prompt_id)
    visibility = work.session.scalar(query.with_for_update(read=True, key_share=True))
    if visibility is None:
        raise NotFound(f"the prompt {prompt_id} was deleted meanwhile.")
    return visibility


def find(reader: Reader, *, search: str | None, cursor: str | None, limit: int) -> RowPage[Prompt]:
    """A page of prompts, newest first; with `search`, those that hold all of its words in any order."""
    query = select(Prompt)
    for word in searchable(search or "").split():
        query = query.where(Prompt.words.contains(word, autoescape=True))
    return page(reader, query, table=Prompt, cursor=cursor, limit=limit)


def searchable(text: str) -> str:
    """`text` as the filter compares it: without case, one form for letters that have several, no unseen ones.

    >>> searchable("Caf\u00e9") == searchable("CAFE\u0301")
    True
    """
    seen = "".join(letter for letter in text if letter not in INVISIBLE)
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold())


def describe(prompt: Prompt) -> PromptOut:
    """The wire form."""
    return PromptOut(
        id=prompt.id,
        text=prompt.text,
        attributes=Attributes.of(prompt.attributes),
        sentence=sentence_of(prompt),
        created_at=prompt.created_at,
        user_id=prompt.user_id,
        visibility=Visibility(prompt.visibility).value,
    )


def sentence_of(prompt: Prompt) -> str:
    """What the model reads."""
    return render(prompt.text, MusicAttributes.from_json(prompt.attributes))
