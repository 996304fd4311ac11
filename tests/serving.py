"""Servers for tests, real ones on loopback sockets, and requests that no client library would send."""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn

from api.server import UVICORN


@contextmanager
def serving(app: Any, port: int = 0) -> Iterator[str]:
    """Serve an ASGI application with uvicorn on 127.0.0.1, a free port; yields its URL without a final slash."""
    listener = socket.create_server(("127.0.0.1", port))
    server = uvicorn.Server(uvicorn.Config(app, **{**UVICORN, "log_config": None, "timeout_graceful_shutdown": 1}))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    wait_until(lambda: server.started or not thread.is_alive())
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


def wait_until(condition: Any, seconds: float = 10) -> None:
    """Wait for a condition to hold, or fail."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


@dataclass
class RawResponse:
    """What came back, as it stood on the wire."""

    status: int
    headers: httpx.Headers
    body: bytes


def raw_request(
    url: str, target: bytes, headers: Sequence[tuple[bytes, bytes]] = (), method: bytes = b"GET"
) -> RawResponse:
    """Send a request as given, byte for byte: no normalised path, no merged header fields."""
    parts = httpx.URL(url)
    lines = [b"%s %s HTTP/1.1" % (method, target), b"Host: " + parts.netloc, b"Connection: close"]
    lines += [b"%s: %s" % header for header in headers]
    with socket.create_connection((parts.host, parts.port or 80), timeout=10) as connection:
        connection.sendall(b"\r\n".join([*lines, b"", b""]))
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    status_line, *fields = head.split(b"\r\n")
    pairs = [(name, value.strip()) for name, _, value in (field.partition(b":") for field in fields)]
    return RawResponse(int(status_line.split(b" ")[1]), httpx.Headers(pairs), body)
