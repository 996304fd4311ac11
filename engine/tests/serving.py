"""Waiting for servers, and requests that no client library would send."""

import secrets
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from resource_server.serving.problems import DOCTOR
from tests.processes import api, running
from tests.tenant import AUDIENCE, Tenant


def wait_until(condition: Any, seconds: float = 10) -> None:
    """Wait for a condition to hold, or fail."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


def free_port() -> int:
    """A port that is free, as is the one after it; of those that no connection takes meanwhile, as Linux has them."""
    while True:
        port = 10_000 + secrets.randbelow(22_000)  # hypothesis makes `random` the same in all processes
        try:
            for each in (port, port + 1):
                socket.create_server(("127.0.0.1", each)).close()
        except OSError:
            continue
        return port


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


@contextmanager
def production(tenant: Tenant, spec: Path | None = None, **others: str) -> Iterator[str]:
    """`python -m api serve`, with other settings as well; yields its URL."""
    command = api("serve", "--port", "0", *(["--spec", str(spec)] if spec else []))
    environ = {"AUTH0_DOMAIN": tenant.url, "AUTH0_AUDIENCE": AUDIENCE, **others}
    with running(command, environ | ({"PYTHONPATH": str(spec.parent)} if spec else {})) as process:
        port = process.wait_for(r"Serving on 127.0.0.1 port (\d+)")[1]
        process.wait_for("Started worker-1")
        wait_until(lambda: listens(int(port)))
        yield f"http://127.0.0.1:{port}"


def listens(port: int) -> bool:
    """Whether something listens there on 127.0.0.1."""
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def catalogued(problem: dict[str, Any]) -> dict[str, Any]:
    """A problem document as production has it: without what development adds to its detail."""
    end = "." + DOCTOR if problem["code"] == "insufficient_scope" else DOCTOR  # whose detail is no sentence
    return {**problem, "detail": problem["detail"].removesuffix(end)}


OF_EACH_ANSWER = ("connection", "date", "server", "transfer-encoding", "x-request-id")
"""Header fields that tell answers apart which are the same."""


def comparable(response: RawResponse) -> tuple[int, list[tuple[str, str]], bytes]:
    """All of an answer but what each server adds."""
    fields = [field for field in response.headers.multi_items() if field[0] not in OF_EACH_ANSWER]
    return response.status, sorted(fields), response.body


def get(url: str, token: str | None = None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        return httpx.get(url, headers=headers, trust_env=False, timeout=15)
    except (httpx.RemoteProtocolError, httpx.ReadError):  # one that is being replaced closes what it hasn't read yet
        return httpx.get(url, headers=headers, trust_env=False, timeout=15)
