"""Whether the process lives, and whether it can work: what a supervisor or a load balancer asks."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Literal

import structlog
from fastapi import APIRouter
from pydantic import Field

from text2song import __version__
from text2song.errors import StudioError, Unavailable
from text2song.wire import WireModel, problem_responses

log = structlog.get_logger(__name__)

ANSWER_SECONDS: Final = 10.0
"""How long a look may take before it counts as failed: twice as long as a locked database is waited for. A
frozen one breaks no connection, and whoever asks would wait for as long as it stays so."""


@dataclass(frozen=True, slots=True)
class ReadyCheck:
    """One thing that must work before requests are welcome."""

    name: str
    check: Callable[[], None]
    """Runs in a thread of its own. Raises a `StudioError` that says what is wrong."""
    keep_seconds: float = 0.0
    """How long an answer holds, where each costs something."""
    is_needed: bool = True
    """False for what the studio can do without for a while: it is told, and requests stay welcome."""


class Health(WireModel):
    """The process answers."""

    status: Literal["ok"] = "ok"
    version: str = __version__


class Readiness(WireModel):
    """Everything that is needed works."""

    status: Literal["ready"] = "ready"
    checks: list[str] = Field(description="What was checked and works.")
    impaired: list[str] = Field(
        default_factory=list, description="What does not work and can be done without for a while, and why."
    )


def health_router(ready_checks: Sequence[ReadyCheck]) -> APIRouter:
    """`/healthz` and `/readyz`."""
    router = APIRouter(tags=["operation"])
    checks = [_Kept(each) for each in ready_checks]

    @router.get("/healthz", summary="Is the process alive?")
    async def read_health() -> Health:
        return Health()

    @router.get("/readyz", summary="Can it work?", responses=problem_responses(503))
    async def read_readiness() -> Readiness:
        complained = await asyncio.gather(*(each.complaint() for each in checks))
        said = list(zip(ready_checks, complained, strict=True))
        complaints = [text for check, text in said if text and check.is_needed]
        if complaints:
            raise Unavailable(f"not ready: {'; '.join(complaints)}")
        return Readiness(
            checks=[check.name for check, text in said if not text],
            impaired=[text for _, text in said if text],
        )

    return router


class _Kept:
    """A check whose answer holds for a while; who asks meanwhile waits for one look, not for many.

    They wait without a thread: while a database is locked, a look takes long, and those who ask must not
    take the threads that everything else is read with.
    """

    def __init__(self, ready_check: ReadyCheck) -> None:
        self._ready_check = ready_check
        self._looks = ThreadPoolExecutor(1, thread_name_prefix="ready")
        self._lock = threading.Lock()
        self._last: Future[str | None] | None = None
        self._looked_at = 0.0

    async def complaint(self) -> str | None:
        with self._lock:
            if self._last is None or (self._last.done() and self._is_old()):
                self._last = self._looks.submit(self._look)
            last = self._last
        look = asyncio.shield(asyncio.wrap_future(last))  # one who goes away ends nobody's look
        try:
            return await asyncio.wait_for(look, ANSWER_SECONDS)
        except TimeoutError:
            return f"{self._ready_check.name}: no answer within {ANSWER_SECONDS:g} seconds"

    def _is_old(self) -> bool:
        return time.monotonic() - self._looked_at >= self._ready_check.keep_seconds

    def _look(self) -> str | None:
        said = _complaint(self._ready_check)
        self._looked_at = time.monotonic()
        return said


def _complaint(ready_check: ReadyCheck) -> str | None:
    try:
        ready_check.check()
    except StudioError as error:
        return f"{ready_check.name}: {error.message}"
    except Exception as error:  # a check that breaks is a check that fails
        log.warning("ready check broke", check=ready_check.name, exc_info=error)
        return f"{ready_check.name}: the check itself broke, see the log"
    return None
