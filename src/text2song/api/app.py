"""Puts the HTTP edge together: the front door, the problems, the pages, and the features' routers."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.telemetry import TelemetryConfig
from prometheus_client.registry import Collector
from pydantic import SecretStr
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import RedirectResponse, Response

from text2song import __version__
from text2song.api.body_limit import BodyLimit
from text2song.api.cross_origin import cross_origin
from text2song.api.docs_page import Notices, docs_router
from text2song.api.doubled_names import refuse_doubled_names
from text2song.api.head import HeadFromGet
from text2song.api.health import ReadyCheck, health_router
from text2song.api.metrics.endpoint import metrics_router, new_registry, require_access
from text2song.api.metrics.requests import CountRequests, RequestNumbers
from text2song.api.openapi import add_login, add_problems, guarded_operations, restore_bounds, restore_nulls
from text2song.api.problems import AnswerEverything, handle
from text2song.api.protections import DoorOptions, FrontDoor, SecurityHeaders
from text2song.api.query_names import refuse_unknown_query
from text2song.api.request_log import RequestLog
from text2song.api.site import SitePages
from text2song.errors import StudioError
from text2song.wire import problem_response

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

_DESCRIPTION: Final = """\
Music from words: ask for takes, follow them, listen and compare.

`GET /models` says which models are served, and what a listener must know of each: a small one understands
few words, and one that was never trained makes noise, not music.

On a machine of one's own nobody logs in. Elsewhere send a key: `Authorization: Bearer t2s_...`.

Every list answers `{"items", "next_cursor"}`. Every error is `application/problem+json` with a stable
`code`; all codes are listed at [/docs/problems](/docs/problems).
"""


_UNTRACED: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked for every few seconds, and of no interest to anybody who follows a request."""
_TELEMETRY: Final = TelemetryConfig(
    metrics=False,  # /metrics has them
    logs=False,
    operation_spans=False,
    auto_configure=False,  # `traces.start` decides, for API and workers alike
    exclude=lambda scope: scope["path"] in _UNTRACED,
)


@dataclass(frozen=True, slots=True)
class ApiOptions:
    """What the edge needs to know of this installation."""

    allowed_hosts: tuple[str, ...]
    """Host names and addresses that this server answers to, without ports."""
    has_users: Callable[[], bool] = lambda: False
    """Whether people log in; without it, whatever comes through a proxy is refused."""
    web_origins: tuple[str, ...] = ()
    """Origins of the web studio, where it lives elsewhere than this server."""
    max_body_bytes: int = 1_048_576
    metrics_token: SecretStr | None = None
    """What lets other machines read the numbers."""
    site_folder: Path | None = None
    """The built web studio; without it, `/` leads to the API's documentation."""
    media_origin: str | None = None
    """Where a storage serves its bytes itself: pages may play and fetch them from there."""


class StudioApi(FastAPI):
    """FastAPI whose OpenAPI document also tells of the problems."""

    def openapi(self) -> dict[str, Any]:
        """The document, made once."""
        document = super().openapi()
        add_problems(document)
        add_login(document, guarded_operations(self))
        restore_nulls(document)
        restore_bounds(document)
        return document


def create_app(
    options: ApiOptions,
    *,
    routers: Sequence[APIRouter],
    ready_checks: Sequence[ReadyCheck] = (),
    notices: Notices = tuple,
    studio_numbers: Collector | None = None,
    lifespan: Lifespan | None = None,
) -> FastAPI:
    """The whole HTTP application; nothing global is touched. `notices` stand above the documentation.

    `studio_numbers` are what `/metrics` tells beside the numbers of the requests and of the process.

    Raises:
        MissingPart: a package of the server is not installed.
    """
    registry = new_registry(studio_numbers)
    app = StudioApi(
        title="Text2Song Studio",
        version=__version__,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        telemetry=_TELEMETRY,
        middleware=_middleware(options, RequestNumbers(registry)),
        dependencies=[Depends(refuse_unknown_query), Depends(refuse_doubled_names)],
        responses={"default": problem_response("Any other problem")},
        generate_unique_id_function=_operation_id,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    for kind in (StudioError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, handle)
    operation = (
        health_router(ready_checks),
        metrics_router(
            registry, require_access=lambda request: require_access(request, token=options.metrics_token)
        ),
        docs_router(notices, media_origin=options.media_origin),
        _root_router(options),
    )
    for router in (*routers, *operation):
        app.include_router(router)
    if options.site_folder is not None:
        app.mount("/studio", SitePages(options.site_folder, media_origin=options.media_origin), name="studio")
    return app


def _middleware(options: ApiOptions, numbers: RequestNumbers) -> list[Middleware]:
    """From the outside in: refusals are logged, protected and written as problems like all else."""
    door = DoorOptions(options.allowed_hosts, options.has_users, options.web_origins)
    return [
        Middleware(CountRequests, numbers=numbers),
        Middleware(RequestLog),
        Middleware(SecurityHeaders, media_origin=options.media_origin),
        Middleware(AnswerEverything),
        Middleware(FrontDoor, options=door),
        *cross_origin(options.web_origins),
        Middleware(BodyLimit, max_body_bytes=options.max_body_bytes),
        Middleware(HeadFromGet),
    ]


def _operation_id(route: APIRoute) -> str:
    """The function's name: FastAPI warns when two are alike, and warnings are errors in the tests."""
    return route.name


def _root_router(options: ApiOptions) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    entrance = "/docs" if options.site_folder is None else "/studio/"

    @router.get("/")
    async def enter() -> Response:
        return RedirectResponse(entrance, status_code=307)

    return router
