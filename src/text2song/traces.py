"""Traces (OpenTelemetry): one for a request and for the work that it asked for, wherever that runs.

Off unless `OTEL_EXPORTER_OTLP_ENDPOINT` says where to send them; OpenTelemetry's own variables set the rest.
A job's row holds the W3C trace parent of the request that made it, so that the worker's span becomes a child
of the request's, through any queue and after any wait. FastAPI makes the spans of requests by itself.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from text2song.errors import MissingPart
from text2song.names import INSTALLING

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
SERVICE: Final = "text2song"
PARENT_LENGTH: Final = 55
"""Characters of a trace parent: https://www.w3.org/TR/trace-context/#traceparent-header, version 00."""
_HEADER: Final = "traceparent"
_W3C: Final = TraceContextTextMapPropagator()


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Whether somebody said where traces go."""
    return any(environment.get(name) for name in ENDPOINTS)


def start() -> None:
    """Send this process's traces from now on, where the environment wants that; call it once.

    Raises:
        MissingPart: the packages for it are not installed.
    """
    if not is_wanted(os.environ):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415  # an extra
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise MissingPart(
            "traces are asked for (OTEL_EXPORTER_OTLP_ENDPOINT), and what sends them is not installed: "
            f"{INSTALLING.format(extra='telemetry')}; or unset that variable."
        ) from error
    name = os.environ.get("OTEL_SERVICE_NAME") or SERVICE
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))  # it sends the rest when Python ends
    trace.set_tracer_provider(provider)


def is_on() -> bool:
    """Whether this process sends traces."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def parent() -> str | None:
    """What a child of the present span has to know; None where nothing is traced."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return carrier.get(_HEADER)


class Spans:
    """The spans of the jobs that a worker has in hand, by the job's id."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tracer = trace.get_tracer(SERVICE)
        self._open: dict[str, trace.Span] = {}

    def begin(self, job_id: str, parent: str | None) -> None:
        """The job was claimed: a child of the request that asked for it."""
        self.end(job_id)  # of a claim that was lost, and is not dropped yet
        self._open[job_id] = self._tracer.start_span(
            self._name,
            context=_W3C.extract({_HEADER: parent}) if parent else None,
            kind=SpanKind.CONSUMER,
            attributes={"text2song.job_id": job_id, "text2song.jobs_in_batch": len(self._open) + 1},
        )

    def end(self, job_id: str, error: BaseException | None = None) -> None:
        """The job is over, or somebody else's; nothing, where it had no span."""
        span = self._open.pop(job_id, None)
        if span is not None:
            if error is not None:
                span.set_status(StatusCode.ERROR, type(error).__name__)
            span.end()

    def end_all(self, error: BaseException | None = None) -> None:
        """The work is over; by this error, if any."""
        for job_id in list(self._open):
            self.end(job_id, error)


@contextmanager
def work(name: str) -> Iterator[Spans]:
    """Spans for jobs, each from its claim to its end; an error is told of those that are at work then."""
    spans = Spans(name)
    try:
        yield spans
    except BaseException as error:
        spans.end_all(error)
        raise
    finally:
        spans.end_all()
