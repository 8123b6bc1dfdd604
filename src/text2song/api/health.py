"""Whether the process lives, and whether it can work: what a supervisor or a load balancer asks."""

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

    @router.get("/healthz", summary="Is the process alive?")
    async def read_health() -> Health:
        return Health()

    @router.get("/readyz", summary="Can it work?", responses=problem_responses(503))
    def read_readiness() -> Readiness:
        complaints = [text for text in map(_complaint, ready_checks) if text]
        if complaints:
            raise Unavailable(f"not ready: {'; '.join(complaints)}")
        return Readiness(checks=[each.name for each in ready_checks])

    return router


def _complaint(ready_check: ReadyCheck) -> str | None:
    try:
        ready_check.check()
    except StudioError as error:
        return f"{ready_check.name}: {error.message}"
    except Exception as error:  # noqa: BLE001  # a check that breaks is a check that fails
        _log.warning("ready_check_broke", check=ready_check.name, exc_info=error)
        return f"{ready_check.name}: the check itself broke, see the log"
    return None
