"""Waiting for servers, and requests that no client library would send."""

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx


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
