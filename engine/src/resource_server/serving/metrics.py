"""Metrics for Prometheus, of all workers together, on a port of their own.

Workers count into files that the parent process adds up. Imported only when metrics are asked for: prometheus-client
decides on its import where it counts.
"""

import socket
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, make_wsgi_app
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from resource_server.serving.exchange import Record
from resource_server.tokens.validator import RESOLVED

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

REQUESTS = Counter("api_requests_total", "Requests answered.", ["operation", "method", "status"])
SECONDS = Histogram("api_request_seconds", "Time to answer.", ["operation"], buckets=_BUCKETS)
REFUSALS = Counter("api_refusals_total", "Requests refused, by problem code and cause.", ["code", "cause"])
FETCHES = Counter("api_key_fetches_total", "Fetches of an issuer's keys.", ["issuer", "outcome"])
FETCHED = Gauge(
    "api_keys_fetched_timestamp_seconds",
    "When the keys of an issuer were last fetched; the oldest of all workers.",
    ["issuer"],
    multiprocess_mode="livemin",
)


def count_request(record: Record) -> None:
    """Count a request that has been answered."""
    operation = record.get("operation") or ""
    method = record["method"] if operation else ""  # anything can be asked for, so it would never end
    REQUESTS.labels(operation, method, record["status"]).inc()
    SECONDS.labels(operation).observe(record["seconds"])
    if code := record.get("code"):
        REFUSALS.labels(code, record.get("cause") or "").inc()


def count_fetch(issuer: str, succeeded: bool) -> None:  # noqa: FBT001  # as it is called
    """Count a fetch of an issuer's keys."""
    FETCHES.labels(issuer, "success" if succeeded else "failure").inc()
    if succeeded and issuer != RESOLVED:  # of many, that one was asked says nothing of the others
        FETCHED.labels(issuer).set(time.time())


def serve_metrics(listener: socket.socket, folder: str) -> None:
    """Serve the metrics of all workers at `/metrics`, in a thread that ends with the process.

    Args:
        listener: The socket.
        folder: Where the workers count.
    """
    registry = CollectorRegistry()
    _Workers(registry, folder)
    server = _Server(listener.getsockname(), _Silent, bind_and_activate=False)
    server.socket = listener
    server.server_name, server.server_port = listener.getsockname()[:2]
    server.setup_environ()
    server.set_app(make_wsgi_app(registry))
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


class _Workers(MultiProcessCollector):
    """All workers: of those that have ended what they have counted, but not how things stand with them."""

    def __init__(self, registry: CollectorRegistry, folder: str) -> None:
        self._counted = Path(folder)
        super().__init__(registry, folder)  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[Metric]:
        """The metrics."""
        for file in self._counted.glob("gauge_live*_*.db"):
            pid = int(file.stem.rpartition("_")[2])
            if not Path("/proc", str(pid)).exists():
                mark_process_dead(pid)  # type: ignore[no-untyped-call]
        metrics: Iterable[Metric] = super().collect()  # type: ignore[no-untyped-call]
        return metrics


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each connection: one that asks nothing keeps nobody from asking."""

    daemon_threads = True


class _Silent(WSGIRequestHandler):
    timeout = 30  # seconds, for a connection that asks nothing

    def log_message(self, *_: object) -> None:
        """Nothing: a scrape is no request of the API's."""
