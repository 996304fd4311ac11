"""Traces: one of each request, through authorization, validation and handler, and out to a collector."""

import http.server
import logging
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from resource_server.serving.background import in_background
from resource_server.settings import Settings
from tests.processes import Running, api_after, run, running
from tests.processes import api as command
from tests.sample import create_app
from tests.serving import wait_until
from tests.tenant import AUDIENCE, Answer, Tenant

CALLER_TRACE, CALLER_SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = {"traceparent": f"00-{CALLER_TRACE}-{CALLER_SPAN}-01"}

SPEC: dict[str, Any] = yaml.safe_load("""
openapi: 3.0.3
info: {title: Traced, version: "1"}
servers: [{url: /v1}]
security: [{oauth2: []}]
components:
  securitySchemes:
    oauth2:
      type: oauth2
      x-tokenInfoFunc: security.token_info
      flows: {clientCredentials: {tokenUrl: "https://issuer.example/token", scopes: {}}}
paths:
  /things/{number}:
    get:
      operationId: traced_handlers.read
      parameters: [{name: number, in: path, required: true, schema: {type: integer}}]
      responses: {"200": {description: One., content: {application/json: {}}}}
  /things:
    post:
      operationId: traced_handlers.write
      requestBody: {required: true, content: {application/json: {schema: {type: object}}}}
      responses: {"200": {description: One., content: {application/json: {}}}}
  /failure:
    get:
      operationId: traced_handlers.fail
      responses: {"200": {description: None., content: {application/json: {}}}}
""")

HANDLERS = """
from opentelemetry import trace

tracer = trace.get_tracer("handlers")

def read(number: int) -> dict[str, int]:
    with tracer.start_as_current_span("database"):
        return {"number": number}

async def write(body: dict[str, object]) -> dict[str, object]:
    with tracer.start_as_current_span("database"):
        return body

def fail() -> None:
    raise RuntimeError("a secret of the handler's")
"""


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    """What has been traced in this process."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("traced")
    (folder / "traced_handlers.py").write_text(HANDLERS)
    path = folder / "openapi.yaml"
    path.write_text(yaml.safe_dump(SPEC))
    sys.path.insert(0, str(folder))
    yield path
    sys.path.remove(str(folder))


Traces = Callable[..., list[ReadableSpan]]


@contextmanager
def traced(tenant: Tenant, spec: Path, exporter: InMemorySpanExporter, **settings: Any) -> Iterator[Traces]:
    """An API; yields what requests it and returns the spans of that, in the order in which they began."""
    given = Settings(issuers=(tenant.url,), audience=AUDIENCE, specification=spec, tracing=True, **settings)
    with in_background(create_app(given)) as url:

        def spans(method: str, path: str, **options: Any) -> list[ReadableSpan]:
            exporter.clear()
            headers = {"Authorization": f"Bearer {tenant.token()}"} | options.pop("headers", {})
            httpx.request(method, url + path, headers=headers, trust_env=False, **options)
            wait_until(lambda: any(span.kind is SpanKind.SERVER for span in exporter.get_finished_spans()))
            return sorted(exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

        yield spans


@pytest.fixture(scope="module")
def spans(tenant: Tenant, spec: Path, exporter: InMemorySpanExporter) -> Iterator[Traces]:
    with traced(tenant, spec, exporter) as spans:
        yield spans


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def names(spans: list[ReadableSpan]) -> list[str]:
    return [span.name for span in spans]


@pytest.mark.parametrize(
    ("method", "path", "route", "body"),
    [("GET", "/v1/things/7", "/v1/things/{number}", None), ("POST", "/v1/things", "/v1/things", {"a": 1})],
)
def test_one_trace_goes_through_authorization_validation_and_handler(
    spans: Traces, method: str, path: str, route: str, body: Any
) -> None:
    request, authorization, validation, handler, database = spans(method, path, json=body)
    assert (request.kind, request.name, request.parent) == (SpanKind.SERVER, f"{method} {route}", None)
    assert attributes(request) == {
        "http.request.method": method,
        "http.response.status_code": 200,
        "http.route": route,
        "url.path": path,
        "url.scheme": "http",
    }
    for span, name in ((authorization, "authorization"), (validation, "validation"), (handler, "handler")):
        assert (span.name, span.parent, attributes(span)) == (name, request.context, {})
    assert (database.name, database.parent) == ("database", handler.context)
    assert authorization.end_time <= validation.start_time  # type: ignore[operator]
    assert validation.end_time <= handler.start_time  # type: ignore[operator]
    assert handler.end_time <= request.end_time  # type: ignore[operator]
    assert all(span.status.is_ok for span in (request, authorization, validation, handler))


def test_refused_token_ends_the_trace_at_authorization(spans: Traces, tenant: Tenant) -> None:
    token = tenant.token(aud="other")
    request, authorization = spans("GET", "/v1/things/7", headers={"Authorization": f"Bearer {token}"})
    assert attributes(request)["http.response.status_code"] == 401
    assert attributes(request)["error.type"] == "invalid_token"
    assert request.status.status_code is StatusCode.UNSET  # the client's fault
    assert attributes(authorization) == {"error.type": "InvalidToken"}
    assert authorization.status.status_code is StatusCode.ERROR


def test_invalid_body_ends_the_trace_at_validation(spans: Traces) -> None:
    request, authorization, validation = spans("POST", "/v1/things", json="no object")
    assert attributes(request)["http.response.status_code"] == 400
    assert authorization.status.is_ok
    assert (validation.name, validation.status.status_code) == ("validation", StatusCode.ERROR)


def test_failure_of_a_handler_is_an_error_and_its_words_stay_inside(spans: Traces) -> None:
    found = spans("GET", "/v1/failure")
    assert names(found) == ["GET /v1/failure", "authorization", "validation", "handler"]
    assert found[0].status.status_code is found[3].status.status_code is StatusCode.ERROR
    assert attributes(found[3]) == {"error.type": "RuntimeError"}
    assert "secret" not in "".join(span.to_json() for span in found)


def test_unknown_path_has_no_route(spans: Traces) -> None:
    request, *_ = spans("GET", "/nowhere")
    assert (request.name, attributes(request)["http.response.status_code"]) == ("GET", 404)
    assert "http.route" not in attributes(request)


def test_nothing_of_a_token_is_traced(spans: Traces, tenant: Tenant) -> None:
    token = tenant.token(sub="auth0|nobody", email="ada@example.com")
    found = spans("GET", f"/v1/things/7?access_token={token}", headers={"Authorization": f"Bearer {token}"})
    text = "".join(span.to_json() for span in found)
    assert not [piece for piece in (*token.split("."), "auth0|nobody", "ada@") if piece in text]


@pytest.mark.parametrize("traceparent", ["", "00-0-0-00", "é", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "x" * 5_000])
def test_malformed_trace_of_the_caller_is_not_taken(spans: Traces, traceparent: str) -> None:
    request, *_ = spans("GET", "/v1/things/7", headers={"traceparent": traceparent.encode()})
    assert (request.parent, request.links) == (None, ())
    assert attributes(request)["http.response.status_code"] == 200


def test_nothing_that_a_caller_sends_is_logged(spans: Traces, caplog: pytest.LogCaptureFixture) -> None:
    odd = {"baggage": "secret" * 3_000, "tracestate": "=secret,,;", **TRACEPARENT}
    request, *_ = spans("GET", "/v1/things/7", headers=odd)
    assert request.links
    assert "secret" not in caplog.text + "".join(span.to_json() for span in [request])


def test_trace_of_a_caller_is_linked_to(spans: Traces) -> None:
    request, *_ = spans("GET", "/v1/things/7", headers=TRACEPARENT)
    assert request.parent is None
    assert [f"{link.context.trace_id:032x}" for link in request.links] == [CALLER_TRACE]
    assert f"{request.context.trace_id:032x}" != CALLER_TRACE


def test_trace_from_a_trusted_proxy_goes_on(tenant: Tenant, spec: Path, exporter: InMemorySpanExporter) -> None:
    trusted = Settings.from_environ({"AUTH0_DOMAIN": "x", "AUTH0_AUDIENCE": "x", "TRUSTED_PROXIES": "127.0.0.1"})
    with traced(tenant, spec, exporter, trusted_proxies=trusted.trusted_proxies) as spans:
        request, *_ = spans("GET", "/v1/things/7", headers=TRACEPARENT)
    assert request.parent
    assert (f"{request.parent.trace_id:032x}", f"{request.parent.span_id:016x}") == (CALLER_TRACE, CALLER_SPAN)


def test_line_of_a_request_names_its_trace(spans: Traces, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "api.requests"):
        request, *_ = spans("GET", "/v1/things/7")
        wait_until(lambda: caplog.records)
    assert caplog.records[-1].facts["trace_id"] == f"{request.context.trace_id:032x}"  # type: ignore[attr-defined]


class Collector(http.server.ThreadingHTTPServer):
    """Takes traces over OTLP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[Any] = []
        self.waits = threading.Event()
        self.waits.set()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.waits.wait(60)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.server.spans += [span for scope in resource.scope_spans for span in scope.spans]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever, daemon=True)
        thread.start()
        yield collector
        collector.waits.set()
        collector.shutdown()


def otlp(collector: Collector) -> dict[str, str]:
    where = f"http://127.0.0.1:{collector.server_port}"
    return {"TRACING": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": where, "OTEL_EXPORTER_OTLP_COMPRESSION": "none"}


@contextmanager
def served(tenant: Tenant, spec: Path, collector: Collector, workers: int = 1) -> Iterator[tuple[str, Running]]:
    """`python -m api serve` with traces, which have to be sent when it has been stopped."""
    environ = {"AUTH0_DOMAIN": tenant.url, "AUTH0_AUDIENCE": AUDIENCE, "PYTHONPATH": str(spec.parent)}
    environ |= {"TRACING": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}"}
    arguments = command("serve", "--port", "0", "--spec", str(spec), "--workers", str(workers))
    with running(arguments, environ) as process:
        port = process.wait_for(r"Serving on 127.0.0.1 port (\d+)")[1]
        process.wait_for(f"Started worker-{workers}")
        yield f"http://127.0.0.1:{port}", process
        if process.process.poll() is None:
            assert process.end(signal.SIGTERM) == 0


def test_workers_send_all_their_traces_before_they_stop(tenant: Tenant, spec: Path, collector: Collector) -> None:
    good = {"Authorization": f"Bearer {tenant.token()}"}
    with served(tenant, spec, collector, workers=2) as (url, _):
        for number in range(10):  # each over a connection of its own, so both workers get some
            read = httpx.get(f"{url}/v1/things/{number}", headers=good, trust_env=False)
            write = httpx.post(f"{url}/v1/things", headers=good, json={}, trust_env=False)
            assert (read.json(), write.json()) == ({"number": number}, {})
    assert Counter(span.name for span in collector.spans) == {
        "GET /v1/things/{number}": 10,
        "POST /v1/things": 10,
        **dict.fromkeys(("authorization", "validation", "handler", "database"), 20),
    }
    assert len({span.trace_id for span in collector.spans}) == 20


def test_request_that_waits_for_keys_has_one_trace(spec: Path, collector: Collector) -> None:
    with Tenant().running() as tenant:
        released, misbehaved = threading.Event(), threading.Event()

        def hang(path: str) -> Answer:
            misbehaved.set()
            released.wait(30)
            return tenant.document(path)

        tenant.misbehave = hang
        with served(tenant, spec, collector) as (url, _), ThreadPoolExecutor() as thread:
            good = {"Authorization": f"Bearer {tenant.token()}"}
            waiting = thread.submit(httpx.get, f"{url}/v1/things/1", headers=good, trust_env=False)
            assert misbehaved.wait(10)
            time.sleep(0.5)
            released.set()
            assert waiting.result().status_code == 200
    assert Counter(span.name for span in collector.spans) == {
        "GET /v1/things/{number}": 1,
        **dict.fromkeys(("authorization", "validation", "handler", "database"), 1),
    }


def test_collector_that_hangs_costs_no_request_and_little_of_the_stop(
    tenant: Tenant, spec: Path, collector: Collector
) -> None:
    collector.waits.clear()
    good = {"Authorization": f"Bearer {tenant.token()}"}
    with served(tenant, spec, collector) as (url, process):
        for number in range(20):
            assert httpx.get(f"{url}/v1/things/{number}", headers=good, trust_env=False).status_code == 200
        begun = time.monotonic()
        assert process.end(signal.SIGTERM) == 0
        assert time.monotonic() - begun < 10


def test_without_opentelemetry_it_says_what_to_install() -> None:
    blocked = api_after("sys.modules['opentelemetry'] = None", "serve", "--port", "0")
    environ = {"AUTH0_DOMAIN": "tenant.example.com", "AUTH0_AUDIENCE": AUDIENCE}
    ended = run(blocked, environ | {"TRACING": "true"})
    assert ended.returncode == 1
    assert "Install the extra 'tracing'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_opentelemetry_is_not_imported_unless_traces_are_asked_for() -> None:
    look = "import sys, api.app; print([name for name in sys.modules if 'opentelemetry' in name])"
    assert run([sys.executable, "-c", look]).stdout == "[]\n"
