import uuid

import pytest

from tests.studios import START
from text2song.errors import NotFound
from text2song.prompts import queries, service
from text2song.prompts.schemas import PromptIn
from text2song.studio import Studio


def test_a_prompt_is_stored_with_its_moment_and_its_author(studio: Studio) -> None:
    with studio.work() as work:
        stored = service.create(work, PromptIn(text=" a slow\nwalk ")).id
    with studio.read() as reader:
        prompt = queries.get(reader, stored)
        assert (prompt.text, prompt.created_at, prompt.user_id) == ("a slow walk", START, None)


def test_what_is_deleted_is_gone_and_cannot_be_deleted_twice(studio: Studio) -> None:
    with studio.work() as work:
        prompt_id = service.create(work, PromptIn(text="a slow walk")).id
    with studio.work() as work:
        service.delete(work, service.hold(work, prompt_id))
    for gone in (prompt_id, uuid.uuid4()):
        with pytest.raises(NotFound, match="GET /prompts"), studio.work() as work:
            service.hold(work, gone)
