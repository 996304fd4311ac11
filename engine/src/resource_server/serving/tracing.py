"""Traces for OpenTelemetry: of each request a span, and in it one for each thing that is done for it, in turn.

Imported only when traces are asked for. Where they go, and how many, OpenTelemetry's own variables (`OTEL_…`) say.
"""

import threading

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import Scope

from resource_server.networks import Networks, comes_from
from resource_server.serving.exchange import Exchange

_FLUSH_SECONDS = 5
_CALLER = TraceContextTextMapPropagator()  # alone: others log what they can't read, whoever has sent it


def export_traces() -> None:
    """Have this process, and its forks, send traces over OTLP; unless somebody has told OpenTelemetry what to do."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        provider = TracerProvider(shutdown_on_exit=False)  # workers don't exit as Python expects
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        trace.set_tracer_provider(provider)


class Tracing:
    """Begins a span for each request.

    A trace that the caller has begun goes on if it comes from a trusted proxy; otherwise the span links to it, because
    the caller would decide how much is recorded.

    Args:
        trusted: From where a trace is gone on with.
    """

    def __init__(self, trusted: Networks) -> None:
        self._trusted = trusted
        self._tracer = trace.get_tracer(__name__)

    def __call__(self, exchange: Exchange, peer: Scope) -> "Trace":
        """Begin the trace of a request.

        Args:
            exchange: The request.
            peer: What the server has said of it, before a proxy was believed.
        """
        scope = exchange.scope
        trusted = comes_from(peer, self._trusted)
        taken = (b"traceparent", b"tracestate") if trusted else (b"traceparent",)
        fields = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in taken}
        said = _CALLER.extract(fields)
        caller = trace.get_current_span(said).get_span_context()
        attributes = {
            "http.request.method": scope["method"],
            "url.scheme": peer["scheme"],
            "url.path": peer["path"],
        }
        span = self._tracer.start_span(
            scope["method"],
            context=said if trusted else None,
            kind=SpanKind.SERVER,
            links=[Link(caller)] if caller.is_valid and not trusted else None,
            attributes=attributes,
        )
        exchange.record["trace_id"] = f"{span.get_span_context().trace_id:032x}"
        return Trace(self._tracer, span)


class Trace:
    """The spans of a request: its own, and in it one for each thing that is done for it, in turn."""

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer = tracer
        self._span = span
        self._context = trace.set_span_in_context(span)
        self._current: Span | None = None
        self._token = attach(self._context)

    def phase(self, name: str) -> Context:
        """End what was done, and begin something; returns the context in which that is the current span."""
        self._end_phase()
        self._current = self._tracer.start_span(name, context=self._context)
        context = trace.set_span_in_context(self._current)
        detach(self._token)
        self._token = attach(context)
        return context

    def failed(self, error: BaseException) -> None:
        """Say that what is being done has failed."""
        if self._current:
            self._current.set_attribute("error.type", type(error).__qualname__)
            self._current.set_status(Status(StatusCode.ERROR))

    def end(self, exchange: Exchange) -> None:
        """End all of it."""
        self._end_phase()
        detach(self._token)
        span, record = self._span, exchange.record
        status = record["status"] or 500
        span.set_attribute("http.response.status_code", status)
        if code := record.get("code"):
            span.set_attribute("error.type", code)
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        if exchange.route:
            span.set_attribute("http.route", exchange.route)
            span.update_name(f"{record['method']} {exchange.route}")
        span.end()

    def _end_phase(self) -> None:
        if self._current:
            self._current.end()
            self._current = None


def flush_traces() -> None:
    """Send what is left; a collector that doesn't answer must not keep the server from stopping."""
    flush = getattr(trace.get_tracer_provider(), "force_flush", None)
    if flush:
        thread = threading.Thread(target=flush, daemon=True)  # it heeds no time limit
        thread.start()
        thread.join(_FLUSH_SECONDS)
