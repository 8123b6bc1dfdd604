"""What two requests at the same time must not both get, on a real PostgreSQL server.

SQLite has one writer at a time; PostgreSQL would let both read before either writes.
"""

import threading
import uuid
from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import text

from tests.audio.samples import record_tone
from tests.rows import MODEL
from tests.studios import noise_info
from tests.users.people import add_person
from text2song.audio import service as audio
from text2song.audio.tables import AudioSample
from text2song.errors import Conflict, QuotaExceeded
from text2song.generation import service as generation
from text2song.generation.schemas import GenerateIn
from text2song.models import service as models
from text2song.music.spec import GenerationSpec
from text2song.prompts import service as prompts
from text2song.prompts.schemas import PromptIn
from text2song.studio import Studio
from text2song.users import service as users
from text2song.users.ownership import Visibility
from text2song.users.schemas import UserPatch

pytestmark = pytest.mark.databases("postgresql")
ROUNDS = 10


def at_once(*acts: Callable[[], object]) -> list[Exception]:
    """What went wrong in acts that begin together."""
    start = threading.Barrier(len(acts))
    errors: list[Exception] = []

    def run(act: Callable[[], object]) -> None:
        start.wait(10)
        try:
            act()
        except Exception as error:  # noqa: BLE001  # it is the test's to judge
            errors.append(error)

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_two_admins_cannot_demote_each_other(studio: Studio) -> None:
    for number in range(ROUNDS):
        pair = [add_person(studio, f"{name} {number}", role="admin") for name in ("Ada", "Eve")]

        def demote(index: int, pair: list[uuid.UUID]) -> None:
            with studio.work() as work:
                users.change(work, pair[index], UserPatch(role="rater"))

        ids = [actor.user_id for actor in pair if actor.user_id]
        errors = at_once(lambda ids=ids: demote(0, ids), lambda ids=ids: demote(1, ids))  # type: ignore[misc]
        assert [type(error) for error in errors] == [Conflict]
        with studio.work() as work:  # the next pair shall be the only admins again
            work.session.execute(text("UPDATE users SET role = 'rater'"))


def test_two_that_differ_in_case_are_not_both_added(studio: Studio) -> None:
    for number in range(ROUNDS):
        errors = at_once(*(partial(add_person, studio, f"{name} {number}") for name in ("Ada", "ada", "ADA")))
        assert [type(error) for error in errors] == [Conflict] * 2


def test_the_last_place_of_a_share_is_given_once(studio: Studio) -> None:
    with studio.work() as work:
        models.announce(work, noise_info(), worker="idle", capacity=8)
    body = GenerateIn.model_validate({"prompt": {"text": "a"}, "generation_params": {"duration": 1}})
    for number in range(ROUNDS):
        ada = add_person(studio, f"Ada {number}")
        assert ada.user_id is not None
        with studio.work() as work:
            users.change(work, ada.user_id, UserPatch(max_queued_jobs=1))

        def submit(actor: object = ada) -> None:
            with studio.work(actor) as work:  # type: ignore[arg-type]  # bound early, or all would be the last
                generation.submit(work, body)

        errors = at_once(submit, submit, submit)
        assert [type(error) for error in errors] == [QuotaExceeded] * 2


def test_a_take_that_is_kept_while_its_prompt_is_shared_is_shared(studio: Studio) -> None:
    ada = add_person(studio, "Ada")
    for number in range(ROUNDS):
        with studio.work(ada) as work:
            prompt_id = prompts.create(work, PromptIn.model_validate({"text": "a"})).id
        recording = record_tone(studio.blobs, seed=number)
        spec = GenerationSpec("a", seed=7, duration_seconds=0.5)
        origin = audio.Origin(prompt_id, None, ada.user_id, MODEL, spec, {"is_trained": False})

        def keep(origin: audio.Origin = origin, recording: object = recording) -> None:
            with studio.work() as work:
                audio.keep(work, recording, origin)  # type: ignore[arg-type]  # bound early, as above

        def share(prompt_id: uuid.UUID = prompt_id) -> None:
            with studio.work(ada) as work:
                prompts.show(work, prompt_id, to=Visibility.SHARED)

        assert at_once(keep, share, keep) == []
        with studio.read() as reader:
            rows = reader.session.query(AudioSample).filter_by(prompt_id=prompt_id).all()
        assert [row.visibility for row in rows] == ["shared", "shared"]
