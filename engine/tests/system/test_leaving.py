"""Clients that leave, and that send no whole body: nothing of theirs is kept, and no handler sees it."""

import socket
import struct
import time
from collections.abc import Iterator

import httpx
import pytest

from resource_server.serving.background import in_background
from resource_server.settings import Settings
from tests.api.test_flaskapp import KINDS
from tests.sample import create_app
from tests.serving import production, wait_until
from tests.tenant import AUDIENCE, Tenant

ROOM = 4


@pytest.fixture(scope="module", params=["serve", "any server"])
def served(request: pytest.FixtureRequest, tenant: Tenant) -> Iterator[str]:
    """By the command line, and by another server for ASGI applications."""
    if request.param == "serve":
        with production(tenant, KINDS / "openapi.yaml", MAX_REQUESTS=str(ROOM)) as url:
            yield url
        return
    settings = Settings(
        issuers=(tenant.url,), audience=AUDIENCE, specification=KINDS / "openapi.yaml", max_requests=ROOM
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(KINDS))
        with in_background(create_app(settings)) as url:
            yield url


def connect(url: str, sent: bytes) -> socket.socket:
    address = httpx.URL(url)
    connection = socket.create_connection((address.host, address.port or 80), timeout=10)
    connection.sendall(sent)
    return connection


def get(url: str) -> httpx.Response:
    return httpx.get(url, trust_env=False)


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.parametrize("leave", [socket.socket.close, reset], ids=["close", "reset"])
@pytest.mark.parametrize("path", ["/events", "/endless"])
def test_stream_ends_when_its_client_leaves(served: str, path: str, leave: object) -> None:
    before = get(served + "/closed").json()["closed"]
    clients = [connect(served, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()) for _ in range(ROOM)]
    assert all(client.recv(10) for client in clients)
    assert get(served + "/plain").status_code == 503
    for client in clients:
        leave(client)  # type: ignore[operator]
    left = time.monotonic()
    wait_until(lambda: get(served + "/plain").status_code == 200)
    assert time.monotonic() - left < 1
    if path == "/events":
        wait_until(lambda: get(served + "/closed").json()["closed"] == before + ROOM, seconds=2)


@pytest.mark.parametrize(
    ("path", "media_type", "field", "sent"),
    [
        ("/echo", "application/json", "Content-Length: 100", '{"a": 1}'),
        ("/echo", "application/json", "Transfer-Encoding: chunked", '8\r\n{"a": 1}\r\n'),
        ("/raw", "application/octet-stream", "Content-Length: 100", "abc"),
        ("/raw", "application/octet-stream", "Transfer-Encoding: chunked", "5\r\nabcde\r\n"),
        ("/raw", "application/octet-stream", "Transfer-Encoding: chunked", "5\r\nabc"),
        ("/form/ada", "application/x-www-form-urlencoded", "Content-Length: 100", "a=1&b=x"),
        ("/form/ada", "multipart/form-data; boundary=x", "Content-Length: 100", "--x\r\n"),
    ],
)
def test_body_that_is_not_whole_reaches_no_handler(
    served: str, path: str, media_type: str, field: str, sent: str
) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {media_type}\r\n{field}\r\n\r\n"
    with connect(served, (head + sent).encode()) as connection:
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(100)
    assert not answer or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 415"))
    assert get(served + "/plain").status_code == 200


@pytest.mark.parametrize("path", ["/exits", "/exits-in-loop"])
def test_handler_that_asks_python_to_exit_is_answered_for(served: str, path: str) -> None:
    for _ in range(3):
        answer = get(served + path)
        assert (answer.status_code, answer.json()["code"]) == (500, "internal_server_error")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert get(served + "/plain").status_code == 200


def test_api_that_has_room_for_nothing_says_that_it_is_not_ready(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(KINDS))
    monkeypatch.setattr("resource_server.serving.threads.STUCK_SECONDS", 0.5)
    settings = Settings(issuers=(tenant.url,), audience=AUDIENCE, specification=KINDS / "openapi.yaml", max_requests=1)
    with in_background(create_app(settings)) as url:
        wait_until(lambda: get(url + "/readyz").status_code == 200)
        with connect(url, b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n") as client:
            assert client.recv(10)
            assert get(url + "/readyz").status_code == 200
            wait_until(lambda: get(url + "/readyz").status_code == 503)
            assert get(url + "/healthz").status_code == 200
        wait_until(lambda: get(url + "/readyz").status_code == 200)
