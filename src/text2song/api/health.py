"""Whether the process lives, and whether it can work: what a supervisor or a load balancer asks."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import structlog
from fastapi import APIRouter

from text2song import __version__
from text2song.errors import StudioError, Unavailable
from text2song.wire import WireModel, problem_responses

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ReadyCheck:
    """One thing that must work before requests are welcome."""

    name: str
    check: Callable[[], None]
    """Quick; runs in a thread. Raises a `StudioError` that says what is wrong."""
    keep_seconds: float = 0.0
    """How long an answer holds, where each costs something."""


class Health(WireModel):
    """The process answers."""

    status: Literal["ok"] = "ok"
    version: str = __version__


class Readiness(WireModel):
    """Everything that was checked works."""

    status: Literal["ready"] = "ready"
    checks: list[str]


def health_router(ready_checks: Sequence[ReadyCheck]) -> APIRouter:
    """`/healthz` and `/readyz`."""
    router = APIRouter(tags=["operation"])
    checks = [_Kept(each) for each in ready_checks]

    @router.get("/healthz", summary="Is the process alive?")
    async def read_health() -> Health:
        return Health()

    @router.get("/readyz", summary="Can it work?", responses=problem_responses(503))
    def read_readiness() -> Readiness:
        complaints = [text for text in (check.complaint() for check in checks) if text]
        if complaints:
            raise Unavailable(f"not ready: {'; '.join(complaints)}")
        return Readiness(checks=[each.name for each in ready_checks])

    return router


class _Kept:
    """A check whose answer holds for a while; who asks meanwhile waits for one look, not for many."""

    def __init__(self, ready_check: ReadyCheck) -> None:
        self._ready_check = ready_check
        self._lock = threading.Lock()
        self._asked_at = -math.inf
        self._said: str | None = None

    def complaint(self) -> str | None:
        with self._lock:
            if time.monotonic() - self._asked_at >= self._ready_check.keep_seconds:
                self._said = _complaint(self._ready_check)
                self._asked_at = time.monotonic()
            return self._said


def _complaint(ready_check: ReadyCheck) -> str | None:
    try:
        ready_check.check()
    except StudioError as error:
        return f"{ready_check.name}: {error.message}"
    except Exception as error:  # noqa: BLE001  # a check that breaks is a check that fails
        _log.warning("ready_check_broke", check=ready_check.name, exc_info=error)
        return f"{ready_check.name}: the check itself broke, see the log"
    return None
