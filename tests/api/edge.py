"""A small API with every kind of trouble in it, and ways to serve it."""

import contextlib
import errno
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient
from pydantic import Field
from sqlalchemy.exc import OperationalError
from starlette.types import ASGIApp

from text2song import errors
from text2song.api.app import ApiOptions, create_app
from text2song.wire import Number, Whole, WireModel, problem_responses

LOOPBACK = ApiOptions(allowed_hosts=("127.0.0.1", "localhost", "[::1]"))


class Attributes(WireModel):
    tempo: Number | None = None
    instrumentation: tuple[str, ...] = ()


class Prompt(WireModel):
    text: str = Field(max_length=40)
    attributes: Attributes = Attributes()
    takes: Whole = 1


class Written:
    """What reached an endpoint that writes."""

    def __init__(self) -> None:
        self.prompts: list[Prompt] = []


def trouble() -> dict[str, Exception]:
    locked = sqlite3.OperationalError("database is locked")
    full = sqlite3.OperationalError("database or disk is full")
    locked.sqlite_errorname, full.sqlite_errorname = "SQLITE_BUSY", "SQLITE_FULL"  # as SQLite itself does
    return {
        "missing": errors.NotFound("no prompt has the id 7: look at GET /prompts."),
        "field": errors.InvalidInput("tempo must be between 20 and 300 BPM.", field="tempo"),
        "range": errors.RangeUnsatisfiable("there are 100 bytes.", size_bytes=100),
        "later": errors.DatabaseBusy("the database is locked."),
        "locked": OperationalError("INSERT secret", {}, locked),
        "full": OperationalError("INSERT secret", {}, full),
        "disk": OSError(errno.ENOSPC, "No space left on device"),
        "readonly": OSError(errno.EROFS, "Read-only file system"),
        "bug": ZeroDivisionError("the secret is 42"),
        "surrogate": errors.InvalidInput("\ud800 is\x00 no word", field="\udfff\n"),
    }


def prompts_router(written: Written) -> APIRouter:
    router = APIRouter(prefix="/prompts", tags=["prompts"])

    @router.post("", status_code=201)
    def create_prompt(prompt: Prompt) -> Prompt:
        written.prompts.append(prompt)
        return prompt

    @router.get("")
    def list_prompts(limit: int = 50) -> dict[str, int]:
        return {"limit": limit}

    @router.get("/{number}", responses=problem_responses(404))
    def read_prompt(number: int) -> dict[str, int]:
        return {"number": number}

    @router.post("/{number}/copy", status_code=201)
    def copy_prompt(number: int) -> Prompt:  # no body: all that a stranger's form would need
        written.prompts.append(Prompt(text=f"copy of {number}"))
        return written.prompts[-1]

    @router.delete("/{number}", status_code=204)
    def delete_prompt(number: int) -> None:
        raise errors.InUse(f"a sample needs prompt {number}: delete the sample first.")

    return router


def trouble_router() -> APIRouter:
    router = APIRouter()

    @router.get("/trouble/{name}")
    def make_trouble(name: str) -> None:
        raise trouble()[name]

    return router


def make_app(
    options: ApiOptions = LOOPBACK, *, written: Written | None = None, extra: tuple[APIRouter, ...] = ()
) -> FastAPI:
    return create_app(options, routers=[prompts_router(written or Written()), trouble_router(), *extra])


def make_client(app: ASGIApp, *, host: str = "127.0.0.1:8000") -> TestClient:
    return TestClient(app, base_url=f"http://{host}", follow_redirects=False)


@contextlib.contextmanager
def serve(app: ASGIApp, *, port: int = 0, certificate: Path | None = None) -> Iterator[int]:
    """A real uvicorn on a port of loopback, a free one unless one is named; gives the port.

    With a certificate, whose file holds its key too, it speaks TLS.
    """
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, log_config=None, access_log=False, ssl_certfile=certificate
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
