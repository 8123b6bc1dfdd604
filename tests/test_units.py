"""A request's unit ends before the client has its answer: real requests over a real database."""

from collections.abc import Iterator

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import insert, select, text

from tests.studios import START, ListeningQueue
from text2song.actors import NOBODY
from text2song.errors import InvalidInput
from text2song.studio import Studio
from text2song.units import ReaderUnit, StudioUnit, WorkUnit
from text2song.users.tables import User

router = APIRouter()


@router.post("/users/{name}", status_code=201)
def add_user(name: str, work: WorkUnit) -> str:
    work.session.add(User(name=name, created_at=START))
    work.ring("generation")
    if name == "nobody":
        raise InvalidInput("nobody is no name.")
    return name


@router.post("/ghosts", status_code=201)
def add_ghost(work: WorkUnit) -> str:
    """A row that only the commit finds fault with."""
    work.session.execute(text("PRAGMA defer_foreign_keys = ON"))
    ghost = "00000000000000000000000000000001"
    work.session.execute(
        text(
            "INSERT INTO prompts (id, text, attributes, words, created_at, user_id) "
            "VALUES (:id, '', '{}', '', '2026-01-01 00:00:00.000000', :id)"
        ),
        {"id": ghost},
    )
    work.ring("generation")
    return ghost


@router.get("/users")
def list_users(reader: ReaderUnit) -> list[str]:
    return list(reader.session.scalars(select(User.name)))


@router.get("/mistake")
def write_while_reading(reader: ReaderUnit) -> None:
    reader.session.execute(insert(User).values(name="Eve", created_at=START))


@router.get("/home")
def home(studio: StudioUnit) -> str:
    return str(studio.settings.home)


@pytest.fixture
def client(studio: Studio) -> Iterator[TestClient]:
    app = FastAPI()
    app.include_router(router)
    app.state.studio = studio
    app.state.identify = lambda *_: NOBODY
    with TestClient(app, raise_server_exceptions=False) as opened:
        yield opened


def test_what_is_answered_is_committed_and_rung(
    client: TestClient, studio: Studio, bells: ListeningQueue
) -> None:
    assert client.post("/users/Ada").status_code == 201
    assert client.get("/users").json() == ["Ada"]
    assert bells.rung == ["generation"]
    assert client.get("/home").json() == str(studio.settings.home)


@pytest.mark.parametrize("path", ["/users/nobody", "/ghosts"], ids=["an error", "a commit that fails"])
def test_what_fails_is_never_answered_with_success(
    client: TestClient, bells: ListeningQueue, path: str
) -> None:
    """A dependency of FastAPI's default scope would answer 201, and then fail to commit."""
    assert client.post(path).status_code == 500
    assert client.get("/users").json() == []
    assert bells.rung == []


def test_a_read_that_writes_is_a_mistake(client: TestClient) -> None:
    assert client.get("/mistake").status_code == 500
    assert client.get("/users").json() == []


def test_after_a_failure_the_lock_is_free_at_once(client: TestClient) -> None:
    for _ in range(60):  # more than there are connections
        client.post("/users/nobody")
    assert client.post("/users/Ada").status_code == 201
