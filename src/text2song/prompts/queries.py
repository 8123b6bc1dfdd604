"""Reading prompts."""

import unicodedata
import uuid

from sqlalchemy import select

from text2song.db import rows
from text2song.db.pages import RowPage, newest_first
from text2song.music.attributes import INVISIBLE, MusicAttributes
from text2song.music.sentence import render
from text2song.prompts.schemas import Attributes, PromptOut
from text2song.prompts.tables import Prompt
from text2song.studio import Reader


def get(reader: Reader, prompt_id: uuid.UUID) -> Prompt:
    """The prompt with that id.

    Raises:
        NotFound: when there is none.
    """
    return rows.get(reader.session, Prompt, prompt_id, noun="prompt", path="/prompts")


def find(reader: Reader, *, search: str | None, cursor: str | None, limit: int) -> RowPage[Prompt]:
    """A page of prompts, newest first; with `search`, those that hold all of its words in any order."""
    query = select(Prompt)
    for word in searchable(search or "").split():
        query = query.where(Prompt.words.contains(word, autoescape=True))
    return newest_first(reader.session, query, by=Prompt.id, cursor=cursor, limit=limit)


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
    )


def sentence_of(prompt: Prompt) -> str:
    """What the model reads."""
    return render(prompt.text, MusicAttributes.from_json(prompt.attributes))
