"""OpenTelemetry traces: a span per request and one per stage, in the W3C format in and out.

Spans are recorded by this module rather than by a general instrumentation of the framework, whose
spans hold the URL: ours may name users (`DELETE /v1/users?id=42`). A span here has the template of
the route, the method, the status and the id of the request.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Mapping
from contextvars import ContextVar
from importlib import metadata
from typing import Any

from starlette.types import Scope

from crosstower.errors import ServeError
from crosstower.funnel.online.request import Ranked
from crosstower.serving.http.request_record import RequestRecord

_EXPORTERS = "otlp", "console", "none"
QUIET = frozenset({"/healthz", "/readyz", "/metrics"})  # asked every few seconds
_HTTP = "opentelemetry.exporter.otlp.proto.http.trace_exporter"


class RequestTrace:
    """The trace of one request. Times are those of `time.perf_counter`.

    Args:
        tracer: of OpenTelemetry.
        span: of the request.
        context: with the span as the parent of others.

    """

    def __init__(self, tracer: Any, span: Any, context: Any) -> None:
        self._tracer, self._span, self._context = tracer, span, context
        self._epoch = time.time_ns() - time.perf_counter_ns()
        found = span.get_span_context()
        self.trace_id, self.span_id = f"{found.trace_id:032x}", f"{found.span_id:016x}"
        self.response = f"00-{self.trace_id}-{self.span_id}-{int(found.trace_flags):02x}"

    def stage(self, name: str, start: float, end: float) -> None:
        """Record a stage of the request that has ended."""
        if self._span.is_recording():
            span = self._tracer.start_span(name, self._context, start_time=self._at(start))
            span.end(self._at(end))

    def end(self, request: RequestRecord) -> None:
        """Record the end of the request."""
        self._span.update_name(f"{request.method} {request.route}")
        self._span.set_attributes(
            {
                "http.request.method": request.method,
                "http.route": request.route,
                "http.response.status_code": request.status,
                "crosstower.request_id": request.request_id,
            }
        )
        if request.status >= 500:
            codes = importlib.import_module("opentelemetry.trace")
            self._span.set_status(codes.StatusCode.ERROR)
        self._span.end()

    def _at(self, seconds: float) -> int:
        return self._epoch + round(seconds * 1e9)


_CURRENT: ContextVar[RequestTrace | None] = ContextVar("crosstower_trace", default=None)


def current_trace() -> RequestTrace | None:
    """Return the trace of the current request; None without tracing."""
    return _CURRENT.get()


def record_stages(found: Ranked) -> None:
    """Record the stages of a list, which follow one another, in the trace of the request."""
    if (trace := _CURRENT.get()) is None:
        return
    at = found.began
    for stage, seconds in found.seconds.items():
        if stage != "total":
            trace.stage(stage, at, at + seconds)
            at += seconds


class Tracing:
    """Begins the traces of requests, and exports them.

    Args:
        provider: a `TracerProvider` of the SDK.

    """

    def __init__(self, provider: Any) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("crosstower", metadata.version("crosstower"))
        self._trace = importlib.import_module("opentelemetry.trace")
        self._propagate = importlib.import_module("opentelemetry.propagate")

    @staticmethod
    def from_environment() -> Tracing:
        """Return tracing as the usual variables `OTEL_…` configure it; see `check_tracing`."""
        check_tracing()
        sdk = importlib.import_module("opentelemetry.sdk.trace")
        exports = importlib.import_module("opentelemetry.sdk.trace.export")
        resources = importlib.import_module("opentelemetry.sdk.resources")
        name = {} if "OTEL_SERVICE_NAME" in os.environ else {"service.name": "crosstower"}
        provider = sdk.TracerProvider(resource=resources.Resource.create(name))
        kind = _exporter()
        if kind == "otlp":
            exporter = importlib.import_module(_HTTP).OTLPSpanExporter()
            provider.add_span_processor(exports.BatchSpanProcessor(exporter))
        elif kind == "console":
            exporter = exports.ConsoleSpanExporter()
            provider.add_span_processor(exports.SimpleSpanProcessor(exporter))
        return Tracing(provider)

    def begin(self, scope: Scope) -> RequestTrace | None:
        """Begin the trace of a request, below the span that its headers name.

        None for probes and if tracing is disabled by the environment.
        """
        if scope["path"] in QUIET:
            _CURRENT.set(None)
            return None
        parent = self._propagate.extract(_headers(scope))
        kind = self._trace.SpanKind.SERVER
        span = self._tracer.start_span(scope["method"], parent, kind=kind)
        trace = None
        if span.get_span_context().is_valid:  # not with OTEL_SDK_DISABLED=true
            context = self._trace.set_span_in_context(span, parent)
            trace = RequestTrace(self._tracer, span, context)
        _CURRENT.set(trace)
        return trace

    def close(self) -> None:
        """Export the spans that are left, and stop."""
        self._provider.shutdown()


def check_tracing() -> None:
    """Reject tracing that cannot work.

    Raises:
        ServeError: a package is not installed, or a variable asks for what does not exist here.

    """
    try:
        importlib.import_module("opentelemetry.sdk.trace")
        importlib.import_module(_HTTP)
    except ImportError as error:
        raise ServeError(
            f"--tracing needs the package {error.name}; install it with:"
            " pip install 'crosstower[tracing]'"
        ) from error
    protocols = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"
    for name in protocols:
        if os.environ.get(name, "http/protobuf") != "http/protobuf":
            raise ServeError(f"{name}: expected http/protobuf, got '{os.environ[name]}'")
    if _exporter() not in _EXPORTERS:
        raise ServeError(
            f"OTEL_TRACES_EXPORTER: expected {', '.join(_EXPORTERS)}, got '{_exporter()}'"
        )


def _exporter() -> str:
    return os.environ.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"


def _headers(scope: Scope) -> Mapping[str, str]:
    """Return the headers that name a span; baggage may name users, and a wrong one is logged."""
    given = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
    return {name: value for name, value in given if name != "baggage"}
