"""Traces for OpenTelemetry: of each request a span, and in it one for each thing that is done for it, in turn.

Imported only when traces are asked for. Where they go, and how many, OpenTelemetry's own variables (`OTEL_…`) say.
"""

import threading
from collections.abc import Mapping
from functools import partial

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resource_server.networks import Networks, comes_from
from resource_server.serving.records import RECORD, Record
from resource_server.serving.threads import NeedsEventLoop

_TRACE = "api.trace"
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


class Traced:
    """Makes a span of each request, and sends what is left when the server stops.

    A trace that the caller has begun goes on if it comes from a trusted proxy; otherwise the span links to it, because
    the caller would decide how much is recorded.

    Args:
        app: The application.
        trusted: From where a trace is gone on with.
        routes: The path templates of the operations, by their ids.
    """

    never_waits = True

    def __init__(self, app: ASGIApp, trusted: Networks, routes: Mapping[str, str]) -> None:
        self._app = app
        self._trusted = trusted
        self._routes = routes
        self._tracer = trace.get_tracer(__name__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, partial(_flush_before_the_end, send))
            return
        span, record = self._begin(scope), scope[RECORD]
        record["trace_id"] = f"{span.get_span_context().trace_id:032x}"
        try:
            with trace.use_span(span, record_exception=False, set_status_on_exception=False):
                await self._app({**scope, _TRACE: _Phases(span)}, receive, send)
        except NeedsEventLoop:
            raise  # it begins anew, and a span that doesn't end is not sent
        except BaseException:
            self._end(span, record)
            raise
        self._end(span, record)

    def _begin(self, scope: Scope) -> Span:
        trusted = comes_from(scope, self._trusted)
        taken = (b"traceparent", b"tracestate") if trusted else (b"traceparent",)
        fields = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in taken}
        said = _CALLER.extract(fields)
        caller = trace.get_current_span(said).get_span_context()
        attributes = {"http.request.method": scope["method"], "url.scheme": scope["scheme"], "url.path": scope["path"]}
        return self._tracer.start_span(
            scope["method"],
            context=said if trusted else None,
            kind=SpanKind.SERVER,
            links=[Link(caller)] if caller.is_valid and not trusted else None,
            attributes=attributes,
        )

    def _end(self, span: Span, record: Record) -> None:
        status = record["status"] or 500
        span.set_attribute("http.response.status_code", status)
        if code := record.get("code"):
            span.set_attribute("error.type", code)
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        if route := self._routes.get(record.get("operation") or ""):
            span.set_attribute("http.route", route)
            span.update_name(f"{record['method']} {route}")
        span.end()


class Phase:
    """Makes a span of what is done from here on, and ends that of what was done before.

    Args:
        app: The application.
        name: What is done.
    """

    never_waits = True

    def __init__(self, app: ASGIApp, name: str) -> None:
        self._app = app
        self._name = name
        self._tracer = trace.get_tracer(__name__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        phases: _Phases | None = scope.get(_TRACE)
        if phases is None:
            await self._app(scope, receive, send)
            return
        with trace.use_span(
            phases.next(self._tracer, self._name), record_exception=False, set_status_on_exception=False
        ):
            try:
                await self._app(scope, receive, send)
            except NeedsEventLoop:
                raise
            except BaseException as error:
                phases.end(error)
                raise
            phases.end()


class _Phases:
    """The spans of what is done for a request, one after another."""

    def __init__(self, request: Span) -> None:
        self._context = trace.set_span_in_context(request)
        self._current: Span | None = None

    def next(self, tracer: Tracer, name: str) -> Span:
        self.end()
        self._current = tracer.start_span(name, context=self._context)
        return self._current

    def end(self, error: BaseException | None = None) -> None:
        if not self._current:
            return
        if error is not None:
            self._current.set_attribute("error.type", type(error).__qualname__)
            self._current.set_status(Status(StatusCode.ERROR))
        self._current.end()
        self._current = None


async def _flush_before_the_end(send: Send, message: Message) -> None:
    flush = getattr(trace.get_tracer_provider(), "force_flush", None)
    if message["type"] == "lifespan.shutdown.complete" and flush:
        # It heeds no time limit: a collector that doesn't answer must not keep the server from stopping.
        thread = threading.Thread(target=flush, daemon=True)
        thread.start()
        thread.join(_FLUSH_SECONDS)
    await send(message)
