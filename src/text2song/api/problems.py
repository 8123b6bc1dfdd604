"""Errors as RFC 9457 problems: one table gives each class of error its HTTP status.

The rule behind the statuses: 400 for a request that cannot be read at all, 422 for one that can be
read but asks for what cannot be, 409 where only the state of things stands in the way. 5xx is our
fault or the machine's, and then the log holds the whole story under the request's id.
"""

import dataclasses
import errno
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import structlog
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from text2song import errors
from text2song.api import validation
from text2song.db.faults import explain
from text2song.disks import FULL_MESSAGE, is_disk_full
from text2song.wire import PROBLEM_MEDIA_TYPE, FieldProblem, Problem

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Kind:
    """What one code means over HTTP."""

    status: int
    title: str
    retry_after_seconds: int | None = None


KINDS: Final[Mapping[type[errors.StudioError], Kind]] = MappingProxyType(
    {
        errors.StudioError: Kind(500, "Something went wrong"),
        errors.InvalidInput: Kind(422, "What was asked for cannot be"),
        errors.InvalidCursor: Kind(400, "The cursor cannot be read"),
        errors.NotFound: Kind(404, "Nothing has that id"),
        errors.Conflict: Kind(409, "The state of things forbids it"),
        errors.InUse: Kind(409, "Something still needs it"),
        # draft-ietf-httpapi-idempotency-key-header, section 2.7, asks for 422 here
        errors.IdempotencyMismatch: Kind(422, "This idempotency key belongs to another request"),
        errors.Refused: Kind(403, "Not allowed from here"),
        # RFC 9110, section 15.5.20: this server does not speak for that host
        errors.ForeignHost: Kind(421, "This server does not answer to that host name"),
        errors.ForeignOrigin: Kind(403, "Another site's page may not do this"),
        errors.ProxyRefused: Kind(403, "Not reachable through a proxy"),
        errors.NotLoggedIn: Kind(401, "Log in first"),
        errors.Forbidden: Kind(403, "Your role or key does not allow this"),
        errors.CsrfFailed: Kind(403, "A cookie alone may not do this"),
        errors.TooLarge: Kind(413, "The body is over the limit"),
        errors.RangeUnsatisfiable: Kind(416, "There are no such bytes"),
        errors.Unavailable: Kind(503, "Not available now", retry_after_seconds=5),
        errors.NoModelServed: Kind(503, "No worker serves a model", retry_after_seconds=10),
        errors.DatabaseBusy: Kind(503, "The database is busy", retry_after_seconds=2),
        errors.StorageFull: Kind(507, "The disk is full"),  # no use in trying again unattended
        errors.StorageFailed: Kind(503, "The storage does not answer", retry_after_seconds=10),
        # RFC 6585, section 4: also for a share that is used up, since others are still served
        errors.QuotaExceeded: Kind(429, "Your share is used up"),
        errors.TooManyRequests: Kind(429, "Too many requests"),
        errors.SetupError: Kind(500, "The installation is not as it must be"),
        errors.MissingPart: Kind(501, "A part is not installed"),
        errors.DatabaseDamaged: Kind(500, "The database is damaged"),
        errors.SchemaTooNew: Kind(500, "The database is newer than the program"),
        errors.SchemaTooOld: Kind(500, "The database is older than the program"),
        errors.PortInUse: Kind(500, "The port is taken"),
        errors.LoginNotSetUp: Kind(500, "Nobody can log in yet"),
        errors.InvalidSetting: Kind(500, "A setting is wrong"),
        errors.ModelError: Kind(500, "The model failed"),
        errors.ModelMissing: Kind(503, "The model is not there"),
        errors.ModelCorrupt: Kind(503, "The model's files are damaged"),
        errors.ModelUnsupported: Kind(422, "This model cannot do that"),
        errors.ModelOutputRejected: Kind(500, "The model made no usable sound"),
        errors.DownloadFailed: Kind(502, "The download failed"),
        errors.OutOfMemory: Kind(503, "Not enough memory", retry_after_seconds=10),
        errors.BlobMissing: Kind(500, "Stored bytes are missing"),
        errors.BlobCorrupt: Kind(500, "Stored bytes are damaged"),
        errors.BackupDamaged: Kind(500, "A backup is damaged"),
        errors.ClaimLost: Kind(409, "Another worker owns the job now"),
        errors.UnexpectedFailure: Kind(500, "Something went wrong"),
        errors.TakesFailed: Kind(500, "Some takes failed"),
        errors.WorkerLost: Kind(500, "Workers died on this job"),
    }
)
"""Every class stands here by name, and a test holds it to that."""

EDGE_KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "malformed_request": Kind(400, "The request cannot be read"),
        "path_not_found": Kind(404, "There is nothing at this path"),
        "method_not_allowed": Kind(405, "This path does not do that"),
        "unsupported_media_type": Kind(415, "The body is not sent as JSON"),
        "internal_error": Kind(500, "Something went wrong inside the studio"),
        "http_error": Kind(500, "The request failed"),
    }
)
"""What can only go wrong over HTTP; no layer below knows these codes."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What to answer, before the request's own particulars are added."""

    code: str
    kind: Kind
    detail: str
    field: str | None = None
    faults: tuple[FieldProblem, ...] = ()
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


def answer(error: Exception, *, scope: Scope) -> JSONResponse:
    """The response to any exception; never raises, never shows a traceback."""
    fault = fault_of(error, scope=scope)
    state = scope.setdefault("state", {})
    state["problem_code"] = fault.code  # for api/metrics
    request_id = state.get("request_id", "")
    if fault.code == "internal_error":
        log.error("request failed", code=fault.code, exc_info=error)
    elif fault.kind.status >= 500:
        log.warning("request failed", code=fault.code, error=fault.detail)
    problem = Problem(
        type=f"/docs/problems#{fault.code}",
        title=fault.kind.title,
        status=fault.kind.status,
        detail=validation.printable(fault.detail, limit=2000),
        code=fault.code,
        instance=_path_as_sent(scope),
        request_id=request_id,
        field=validation.printable(fault.field, limit=300) if fault.field else None,
        errors=list(fault.faults),
    )
    return JSONResponse(
        problem.model_dump(),
        status_code=fault.kind.status,
        headers={"Cache-Control": "no-store", **_retry_after(fault.kind), **fault.headers},
        media_type=PROBLEM_MEDIA_TYPE,
    )


async def handle(request: Request, error: Exception) -> JSONResponse:
    """`answer`, as FastAPI calls its exception handlers."""
    return answer(error, scope=request.scope)


def fault_of(error: Exception, *, scope: Scope) -> Fault:
    """Which problem an exception is."""
    match error:
        case RequestValidationError():
            return _of_validation(error, scope=scope)
        case HTTPException():
            return _of_http(error, scope=scope)
        case errors.StudioError():
            return _of_studio(error)
    explained = explain(error) or _explain_disk(error)
    if explained is not None:
        return _of_studio(explained)
    detail = (
        "Something went wrong inside the studio; it is not your fault. Try again, and if it stays, report it "
        "with this request_id: the server's log has the details under the same id."
    )
    return _edge("internal_error", detail)


class AnswerEverything:
    """ASGI middleware: no exception leaves without a problem, whichever layer raised it.

    FastAPI's own last resort stands outside of all middleware, so its answers would carry neither
    the security headers nor the request's id.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what is raised, unless the answer has already begun: then the connection must break."""
        is_started = False

        async def watch(message: Message) -> None:
            nonlocal is_started
            is_started = is_started or message["type"] in {"http.response.start", "websocket.accept"}
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception as error:
            if is_started or scope["type"] == "lifespan":
                raise
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})  # RFC 6455: against our policy
                return
            await answer(error, scope=scope)(scope, receive, send)


def _of_studio(error: errors.StudioError) -> Fault:
    kind = errors.meaning_of(type(error), KINDS)
    headers = _headers_of(error)
    return Fault(error.code, kind, errors.sentence(error.message), field=error.field, headers=headers)


def _headers_of(error: errors.StudioError) -> dict[str, str]:
    match error:
        case errors.RangeUnsatisfiable(size_bytes=int(size_bytes)):
            return {"Content-Range": f"bytes */{size_bytes}"}  # RFC 9110, section 14.4
        case errors.NotLoggedIn():
            return {"WWW-Authenticate": "Bearer"}  # RFC 9110, section 15.5.2, asks for one
        case errors.TooManyRequests(retry_after_seconds=seconds):
            return {"Retry-After": str(seconds)}
    return {}


def _of_validation(error: RequestValidationError, *, scope: Scope) -> Fault:
    broken_json = validation.describe_broken_json(error)
    if broken_json is not None:
        return _edge("malformed_request", broken_json)
    if isinstance(error.body, bytes):  # FastAPI leaves a body alone that does not say that it is JSON
        sent_as = Request(scope).headers.get("content-type")
        came = f"came as {validation.printable(sent_as, limit=60)}" if sent_as else "does not say what it is"
        return _edge(
            "unsupported_media_type",
            f"This body {came}. Send JSON, with the header Content-Type: application/json.",
        )
    faults = validation.describe(error)
    return Fault(
        errors.InvalidInput.code,
        KINDS[errors.InvalidInput],
        validation.summarise(faults),
        field=faults[0].field,
        faults=faults,
    )


def _of_http(error: HTTPException, *, scope: Scope) -> Fault:
    path = validation.printable(_path_as_sent(scope), limit=200)
    match error.status_code:
        case 400:
            return _edge("malformed_request", validation.describe_unreadable_body(error))
        case 404:
            return _edge("path_not_found", f"There is nothing at {path}. All paths are listed at /docs.")
        case 405:
            methods = ", ".join(_methods_at(scope)) or (error.headers or {}).get("Allow", "GET, HEAD")
            detail = f"{scope['method']} does not work at {path}; what works there: {methods}."
            return _edge("method_not_allowed", detail, headers={"Allow": methods})
        case 413:
            return _of_studio(errors.TooLarge(error.detail))
    kind = Kind(error.status_code, EDGE_KINDS["http_error"].title)
    return Fault("http_error", kind, errors.sentence(error.detail), headers=error.headers or {})


def _edge(code: str, detail: str, *, headers: Mapping[str, str] | None = None) -> Fault:
    return Fault(code, EDGE_KINDS[code], detail, headers=headers or {})


def _explain_disk(error: Exception) -> errors.StudioError | None:
    if not isinstance(error, OSError):
        return None
    if is_disk_full(error):
        return errors.StorageFull(FULL_MESSAGE)
    if error.errno in {errno.EROFS, errno.EIO}:
        return errors.StorageFailed("the disk cannot be written: check it, then try again.")
    return None


def _methods_at(scope: Scope) -> list[str]:
    """All methods of all routes at this path: Starlette's own 405 names only the first route's."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    routes = [route for route in iter_route_contexts(scope["app"].routes) if route.methods]
    matching = [route for route in routes if route.path_regex.match(path)]
    named = [route for route in matching if not route.path_regex.groups]  # /audio/compare is no /audio/{id}
    methods = {method for route in named or matching for method in route.methods or ()}
    if "GET" in methods:
        methods.add("HEAD")
    return sorted(methods)


def _path_as_sent(scope: Scope) -> str:
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return validation.printable(raw.decode("latin-1"), limit=500)


def _retry_after(kind: Kind) -> dict[str, str]:
    return {} if kind.retry_after_seconds is None else {"Retry-After": str(kind.retry_after_seconds)}
