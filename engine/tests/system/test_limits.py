"""What is too much, too long or too slow is refused at once, and nothing piles up."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.loads import Load, Tokens, send_and_count
from resource_server.serving import bodies, flow, http1
from resource_server.serving.background import in_background
from resource_server.settings import Settings
from tests.api.test_flaskapp import KINDS
from tests.sample import create_app
from tests.serving import production, wait_until
from tests.tenant import AUDIENCE, Tenant

NO_TOKENS = Tokens(Path(), "", "")
FEW = {"MAX_REQUESTS": "4", "MAX_BODY_BYTES": "1000"}


@pytest.fixture(scope="module")
def kinds(tenant: Tenant) -> Iterator[str]:
    """In production, with room for four requests."""
    with production(tenant, KINDS / "openapi.yaml", **FEW) as url:
        yield url


@pytest.fixture(scope="module")
def in_loop(tenant: Tenant) -> Iterator[str]:
    """In an event loop, with the same limits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(KINDS))
        few = Settings(
            issuers=(tenant.url,),
            audience=AUDIENCE,
            specification=KINDS / "openapi.yaml",
            max_requests=4,
            max_body=1_000,
        )
        with in_background(create_app(few)) as url:
            yield url


@pytest.mark.parametrize("where", ["kinds", "in_loop"])
def test_more_requests_than_there_is_room_for_are_refused_at_once(where: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(where)
    with ThreadPoolExecutor(12) as threads, httpx.Client(trust_env=False) as client:
        begun = time.monotonic()
        sent = [threads.submit(client.get, url + "/block", timeout=10) for _ in range(12)]
        answers = [future.result() for future in sent]
        assert time.monotonic() - begun < 1.9
    busy = [answer for answer in answers if answer.status_code == 503]
    assert [answer.status_code for answer in answers].count(200) == 4
    assert {(answer.headers["retry-after"], answer.json()["code"]) for answer in busy} == {("1", "service_unavailable")}
    assert httpx.get(url + "/block", trust_env=False).status_code == 200


@pytest.mark.parametrize("where", ["kinds", "in_loop"])
@pytest.mark.parametrize(
    ("path", "media_type", "body"),
    [
        ("/echo", "application/json", b'{"a": "' + b"x" * 2_000 + b'"}'),
        ("/raw", "application/octet-stream", b"x" * 2_000),
        ("/raw", "application/octet-stream", (b"x" * 100 for _ in range(20))),  # says nothing of its length
    ],
)
def test_body_that_is_too_long_is_refused(
    where: str, path: str, media_type: str, body: Any, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue(where)
    content = (b"x" * 100 for _ in range(20)) if isinstance(body, Iterator) else body
    answer = httpx.post(url + path, content=content, headers={"Content-Type": media_type}, trust_env=False)
    assert (answer.status_code, answer.json()["code"]) == (413, "request_entity_too_large")


def test_body_that_does_not_come_is_not_waited_for(in_loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.3)
    address = httpx.URL(in_loop)
    with socket.create_connection((address.host, address.port or 80), timeout=5) as connection:
        connection.sendall(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 408")


def test_requests_that_wait_for_their_bodies_take_no_room(kinds: str) -> None:
    address = httpx.URL(kinds)
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    slow = [socket.create_connection((address.host, address.port or 80)) for _ in range(30)]
    for connection in slow:
        connection.sendall(head)
    time.sleep(0.3)
    assert httpx.get(kinds + "/plain", trust_env=False).status_code == 200
    assert httpx.post(kinds + "/echo", json={}, trust_env=False).status_code == 201
    for connection in slow:
        connection.close()


@pytest.mark.parametrize(
    "sent", [b"", b"GET /plain HTTP/1.1\r\nHost: x\r\n", b"GET /plain HTTP/1.1\r\nHost: x\r\n\r\n"]
)
def test_connection_that_brings_no_whole_request_in_time_is_closed(tenant: Tenant, sent: bytes) -> None:
    with production(tenant, KINDS / "openapi.yaml", KEEP_ALIVE_SECONDS="1") as url:
        address = httpx.URL(url)
        with socket.create_connection((address.host, address.port or 80), timeout=10) as connection:
            begun = time.monotonic()
            connection.sendall(sent)
            while connection.recv(65_536):
                pass
            assert 0.9 < time.monotonic() - begun < 5


def test_client_that_does_not_read_a_stream_is_given_up(in_loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "UNREAD_SECONDS", 0.5)
    address = httpx.URL(in_loop)
    deaf = [
        socket.create_connection((address.host, address.port or 80)) for _ in range(4)
    ]  # as many as there is room for
    for connection in deaf:
        connection.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: httpx.get(in_loop + "/plain", trust_env=False).status_code == 503)
    wait_until(lambda: httpx.get(in_loop + "/plain", trust_env=False).status_code == 200)
    for connection in deaf:
        connection.close()


def test_answers_that_are_not_read_take_only_so_much_memory(in_loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "MOST_UNSENT", 30_000_000)
    address = httpx.URL(in_loop)
    with ExitStack() as stack:
        deaf = []
        for _ in range(3):
            connection = stack.enter_context(socket.create_connection((address.host, address.port or 80), timeout=10))
            connection.sendall(b"GET /long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            connection.recv(1)
            deaf.append(connection)
        lengths = []
        for connection in deaf:
            with suppress(ConnectionResetError):
                lengths.append(sum(len(part) for part in iter(partial(connection.recv, 1_000_000), b"")))
        assert [length > 12_000_000 for length in lengths][-2:] == [True, True]
        assert len([length for length in lengths if length > 12_000_000]) == 2  # the first one has made room for others


@pytest.mark.usefixtures("wrk")
def test_more_requests_than_can_be_computed_are_refused_and_health_is_not(tenant: Tenant) -> None:
    """Whether there is room is known before anything is done for a request."""
    load = Load("plain", "GET /plain", "/plain")
    with production(tenant, KINDS / "openapi.yaml", MAX_REQUESTS="4") as url, ThreadPoolExecutor(1) as thread:
        sending = thread.submit(send_and_count, load, url, NO_TOKENS, seconds=4, connections=300, cpu=0)
        while not sending.done():
            assert httpx.get(url + "/healthz", trust_env=False).status_code == 200
        timed = sending.result()
    assert timed.requests > timed.not_2xx > 0
    assert timed.broken == 0


def test_page_can_read_that_its_request_is_refused(tenant: Tenant) -> None:
    page = {"Origin": "https://app.example"}
    few = {"MAX_REQUESTS": "4", "CORS_ORIGINS": page["Origin"]}
    with production(tenant, KINDS / "openapi.yaml", **few) as url, ThreadPoolExecutor(4) as threads:
        served = httpx.get(url + "/plain", headers=page, trust_env=False)
        blocking = [threads.submit(httpx.get, url + "/block", trust_env=False) for _ in range(4)]
        time.sleep(0.3)
        refused = httpx.get(url + "/plain", headers=page, trust_env=False)
        assert [each.result().status_code for each in blocking] == [200] * 4
    assert (served.status_code, refused.status_code) == (200, 503)
    assert (refused.headers["retry-after"], refused.json()["code"]) == ("1", "service_unavailable")
    assert refused.headers["access-control-allow-origin"] == page["Origin"]
    assert set(served.headers) <= set(refused.headers)


def test_headers_that_are_too_long_are_refused(kinds: str) -> None:
    answer = httpx.get(kinds + "/plain", headers={"X-Long": "x" * 200_000}, trust_env=False)
    assert answer.status_code == 431
