"""`GET /metrics`, and who may read it."""

from collections.abc import Callable
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.registry import Collector
from pydantic import SecretStr

from text2song.api.callers import is_from_here
from text2song.errors import Refused
from text2song.users.secrets import is_same
from text2song.wire import problem_responses

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus' own text format."""


def new_registry(studio_numbers: Collector | None) -> CollectorRegistry:
    """A registry of its own for each application: nothing is global. It also tells of the process."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    if studio_numbers is not None:
        registry.register(studio_numbers)
    return registry


def metrics_router(registry: CollectorRegistry, *, require_access: Callable[[Request], None]) -> APIRouter:
    """`/metrics`."""
    router = APIRouter(tags=["operation"])

    @router.get(
        "/metrics",
        summary="Numbers for Prometheus",
        response_class=Response,
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Numbers"},
            **problem_responses(403),
        },
    )
    def read_metrics(request: Request) -> Response:
        """For this machine alone, or with TEXT2SONG_METRICS_TOKEN as a bearer token.

        Numbers of requests are of the process that answers; those of jobs, workers and samples are of the
        whole studio.
        """
        require_access(request)
        return Response(
            generate_latest(registry), headers={"Content-Type": MEDIA_TYPE, "Cache-Control": "no-store"}
        )

    return router


def require_access(request: Request, *, token: SecretStr | None) -> None:
    """The one place that says who may read the numbers: this machine, or whoever has the token.

    Raises:
        Refused: somebody else asks.
    """
    if token and is_same(_bearer(request), token.get_secret_value()):
        return
    if not is_from_here(request):
        raise Refused(
            "only this machine may read the numbers without a token: set TEXT2SONG_METRICS_TOKEN, and send "
            "it as `Authorization: Bearer TOKEN`."
        )


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
