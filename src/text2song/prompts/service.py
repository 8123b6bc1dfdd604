"""Writing prompts."""

import uuid

from sqlalchemy.exc import IntegrityError

from text2song.db import rows
from text2song.errors import InUse
from text2song.music.attributes import clean_text
from text2song.music.sentence import TEXT_LIMIT, render
from text2song.prompts import queries
from text2song.prompts.schemas import PromptIn
from text2song.prompts.tables import Prompt
from text2song.studio import Work
from text2song.users.audit import note_if_anothers
from text2song.users.ownership import Visibility, require_own


def create(work: Work, body: PromptIn) -> Prompt:
    """Store a prompt.

    Raises:
        InvalidInput: when text or attributes cannot be.
    """
    attributes = body.attributes.as_music()
    text = clean_text(body.text, name="text", limit=TEXT_LIMIT)
    prompt = Prompt(
        text=text,
        attributes=attributes.as_json(),
        words=queries.searchable(render(text, attributes)),
        created_at=work.clock(),
        user_id=work.actor.user_id,
    )
    work.session.add(prompt)
    work.session.flush()
    return prompt


def show(work: Work, prompt_id: uuid.UUID, *, to: Visibility) -> Prompt:
    """Let everybody see a prompt and what was and will be made from it, or nobody but its owner.

    Raises:
        NotFound: when there is none.
        Forbidden: it is somebody else's.
    """
    prompt = queries.get(work, prompt_id)
    require_own(prompt, work.actor)
    if prompt.visibility != to:
        note_if_anothers(work, prompt, act=f"prompt.{to}")
        prompt.visibility = to
        work.session.flush()  # the database itself tells jobs and takes
        work.session.expire_all()
    return queries.get(work, prompt_id)


def hold(work: Work, prompt_id: uuid.UUID) -> Prompt:
    """A prompt of the actor's own, from which nobody asks for takes until the unit ends.

    Raises:
        NotFound: when there is none.
        Forbidden: it is somebody else's.
    """
    prompt = queries.get(work, prompt_id)
    require_own(prompt, work.actor)
    rows.lock(work.session, prompt)
    return prompt


def delete(work: Work, prompt: Prompt) -> None:
    """Delete a prompt that is held, with its jobs that made nothing; what still waits or runs is dropped.

    Raises:
        InUse: while takes belong to it: they are records of what this prompt made.
    """
    note_if_anothers(work, prompt, act="prompt.delete")
    work.session.delete(prompt)
    try:
        work.session.flush()
    except IntegrityError as error:
        raise InUse(
            "takes were made from this prompt, so it is part of their record. Delete those takes first."
        ) from error
