import pytest
from sqlalchemy.exc import IntegrityError

from tests.rows import add_prompt
from tests.studios import START
from text2song.actors import Actor
from text2song.prompts.tables import Prompt
from text2song.studio import Studio
from text2song.users.tables import User


@pytest.mark.databases("sqlite", "postgresql")
@pytest.mark.parametrize(("name", "other"), [("Ada", "Ada"), ("Ada", "ada"), ("Émile", "ÉMILE")])
def test_a_name_belongs_to_one_user(studio: Studio, name: str, other: str) -> None:
    with studio.work() as work:
        work.session.add(User(name=name, created_at=START))
    with pytest.raises(IntegrityError), studio.work() as work:
        work.session.add(User(name=other, created_at=START))


def test_what_a_user_wrote_keeps_the_user(studio: Studio) -> None:
    with studio.work() as work:
        ada = User(name="Ada", created_at=START)
        work.session.add(ada)
        work.session.flush()
        work.session.get_one(Prompt, add_prompt(work.session)).user_id = ada.id
    with pytest.raises(IntegrityError), studio.work(Actor(ada.id)) as work:
        work.session.delete(work.session.get_one(User, ada.id))
