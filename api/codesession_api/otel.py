"""Spans by OpenTelemetry's SDK, sent by OTLP over HTTP in the background.

Sampling, headers for the collector and the service's name are the SDK's own variables: OTEL_TRACES_SAMPLER,
OTEL_EXPORTER_OTLP_HEADERS, OTEL_SERVICE_NAME.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from codesession_api.tracing import NOTHING, Span, Value

_LAST_SECONDS = 3.0


class OtelSpan:
    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def set(self, **attributes: Value) -> None:
        self._span.set_attributes({f"codesession.{name}": value for name, value in attributes.items()})

    def answered(self, method: str, route: str, status: int) -> None:
        self._span.update_name(f"{method} {route}")
        self._span.set_attributes(
            {"http.request.method": method, "http.route": route, "http.response.status_code": status}
        )
        if status >= 500:
            self._span.set_status(Status(StatusCode.ERROR))


class OtelTracer:
    """Of this process; made after the last fork of it, for it has a thread."""

    def __init__(self, endpoint: str) -> None:
        name = {} if "OTEL_SERVICE_NAME" in os.environ else {SERVICE_NAME: "codesession-api"}
        self._provider = TracerProvider(resource=Resource.create(name), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint)))
        self._tracer = self._provider.get_tracer("codesession_api")
        self._propagator = TraceContextTextMapPropagator()

    def span(self, name: str, attributes: dict[str, Value]) -> AbstractContextManager[Span]:
        if not trace.get_current_span().is_recording():
            return NOTHING
        return self._recorded(name, None, SpanKind.INTERNAL, attributes)

    def beside(self, name: str) -> AbstractContextManager[Span]:
        return self._beside(name) if trace.get_current_span().is_recording() else NOTHING

    @contextmanager
    def _beside(self, name: str) -> Iterator[OtelSpan]:
        current = self._tracer.start_span(name)
        try:
            with _failing(current):
                yield OtelSpan(current)
        finally:
            current.end()

    def request(self, traceparent: str) -> AbstractContextManager[OtelSpan]:
        # Without tracestate: that is text of the client's, which would be sent on.
        parent = self._propagator.extract({"traceparent": traceparent}, Context())
        return self._recorded("request", parent, SpanKind.SERVER, {})

    @contextmanager
    def _recorded(
        self, name: str, parent: Context | None, kind: SpanKind, attributes: dict[str, Value]
    ) -> Iterator[OtelSpan]:
        with self._tracer.start_as_current_span(
            name, parent, kind, record_exception=False, set_status_on_exception=False
        ) as current:
            span = OtelSpan(current)
            span.set(**attributes)
            with _failing(current):
                yield span

    def close(self) -> None:
        """Send what is left, unless that takes long."""
        last = threading.Thread(target=self._provider.shutdown, daemon=True)
        last.start()
        last.join(_LAST_SECONDS)


@contextmanager
def _failing(span: trace.Span) -> Iterator[None]:
    """An exception of the block is told by its type: its text may hold what a user sent."""
    try:
        yield
    except GeneratorExit:
        raise
    except BaseException as error:
        span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        raise
