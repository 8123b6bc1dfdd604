import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator

from fastapi import FastAPI

from tests.api.edge import LOOPBACK, make_client
from text2song.api.app import create_app


def test_the_lifespan_runs_around_the_requests() -> None:
    seen: list[str] = []

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        seen.append(f"start {app.title}")
        yield
        seen.append("stop")

    with make_client(create_app(LOOPBACK, routers=[], lifespan=lifespan)) as client:
        assert seen == ["start Text2Song Studio"]
        assert client.get("/healthz").status_code == 200
    assert seen[-1] == "stop"


def test_two_applications_share_nothing() -> None:
    first, second = create_app(LOOPBACK, routers=[]), create_app(LOOPBACK, routers=[])
    assert first.routes is not second.routes
    assert first.openapi() == second.openapi()


def test_the_api_never_loads_torch() -> None:
    program = (
        "import sys, text2song.api.app; print([m for m in ('torch', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
