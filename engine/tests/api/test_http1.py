"""Connections, byte by byte: requests however they come, and what isn't one."""

import asyncio
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from resource_server.serving import http1
from resource_server.serving.background import UVICORN
from resource_server.serving.listening import listen
from tests.serving import wait_until

SEEN: list[Any] = []


async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: C901  # one thing after another
    """Answers with what it has read; its path says how."""
    if scope["type"] == "lifespan":
        for stage in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{stage}.complete"})
        return
    SEEN.append(scope)
    how = scope["path"].rpartition("/")[2]
    body = b"unread" if how == "unread" else await whole(receive)
    head: Message = {"type": "http.response.start", "status": 204 if how == "nothing" else 200, "headers": []}
    if how == "fails":
        raise RuntimeError
    if how == "field":
        head["headers"] = [(b"x-field", b"a\r\nx-other: b")]
    if how not in ("parts", "breaks", "endless", "nothing"):
        length = b"1" if how == "longer" else b"100" if how == "shorter" else b"%d" % len(body)
        head["headers"] = [*head["headers"], (b"content-length", length), (b"transfer-encoding", b"chunked")]
    await send(head)
    if how in ("parts", "breaks", "endless"):
        await send({"type": "http.response.body", "body": body, "more_body": True})
        if how == "breaks":
            raise RuntimeError
    gone = asyncio.ensure_future(receive())
    while how == "endless" and not gone.done():
        await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
        await asyncio.sleep(0)
        SEEN.append(len(SEEN))
    SEEN.append("left") if how == "endless" else gone.cancel()
    await send({"type": "http.response.body", "body": b"" if how in ("parts", "endless") else body})


async def whole(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return body + b" and no more"
        body += message["body"]
        more = message["more_body"]
    return body


@contextmanager
def serving(**options: Any) -> Iterator[int]:
    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=5, **UVICORN, **options))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving() as port:
        yield port


def talk(port: int, *parts: bytes, end: bool = False, pause: float = 0.0) -> bytes:
    """Send parts, one after another; returns all that comes until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        if end:
            connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


NO_HOST = [b"", b"Host: x\r\nHost: x\r\n", b"Host: x\r\nHost: y\r\n"] + [
    b"Host: " + value + b"\r\n"
    for value in (
        *(b"", b" ", b"a b", b"a,b", b"http://x", b"x@y", b"[::1", b"::1", b"a:b", b"x/y", b"x?y", b"x#y", b"\xff"),
        *(b"a:99999", b":80"),
        *(b'x"y', b"x<y", b"x\\y", b"x\ty", b"x" * 256),
    )
]
"""What a request must not have for a Host (RFC 9112, section 3.2)."""


def statuses(answers: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", answers)]


def request(path: str = "/", *fields: str, method: str = "GET", body: bytes = b"") -> bytes:
    length = [f"Content-Length: {len(body)}"] if body else []
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *fields, *length, "", ""]
    return "\r\n".join(lines).encode() + body


CLOSE = "Connection: close"
THREE = request(method="POST", body=b"first") + request("/parts", method="POST", body=b"second") + request("/", CLOSE)


def test_requests_are_answered_in_the_order_in_which_they_come(port: int) -> None:
    answers = talk(port, THREE)
    assert statuses(answers) == [200, 200, 200]
    assert answers.index(b"\r\n\r\nfirst") < answers.index(b"\r\n6\r\nsecond\r\n0\r\n\r\n")
    assert answers.lower().count(b"transfer-encoding") == 1


@given(st.lists(st.integers(1, len(THREE) - 1), max_size=12))
def test_requests_are_the_same_however_their_bytes_are_cut(port: int, cuts: list[int]) -> None:
    places = [0, *sorted(set(cuts)), len(THREE)]
    parts = [THREE[begin:end] for begin, end in pairwise(places)]
    cut, at_once = talk(port, *parts, pause=0.0005), talk(port, THREE)
    undated = re.compile(rb"date: [^\r]*")
    assert undated.sub(b"", cut) == undated.sub(b"", at_once)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX : y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        *(b"GET / HTTP/1.1\r\n" + fields + b"\r\n" for fields in NO_HOST),
        b"GET / HTTP/1.0\r\nHost: a b\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused_and_nothing_after_it_is_answered(port: int, sent: bytes) -> None:
    SEEN.clear()
    assert statuses(talk(port, sent + request("/"))) == [400]
    assert SEEN == []


@pytest.mark.parametrize(
    "host", ["x", "example.com", "EXAMPLE.com:3010", "a:", "127.0.0.1:80", "[::1]", "[::1]:65535", " x "]
)
def test_host_may_be_a_name_or_an_address_with_a_port(port: int, host: str) -> None:
    assert statuses(talk(port, f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())) == [200]
    assert statuses(talk(port, b"GET / HTTP/1.0\r\n\r\n")) == [200]


def test_what_follows_a_request_and_is_none_costs_it_nothing(port: int) -> None:
    answers = talk(port, request("/", method="POST", body=b"first") + b"nonsense\r\n\r\n")
    assert statuses(answers) == [200]
    assert b"\r\n\r\nfirst" in answers


@pytest.mark.parametrize(
    "head",
    [
        request("/" + "x" * http1.HEAD_BYTES),
        request("/", "X: " + "x" * http1.HEAD_BYTES),
        request("/", *["X: " + "x" * 100] * 400),
        b"GET / HTTP/1.1\r\nX: " + b"x" * (4 * http1.HEAD_BYTES),
    ],
)
@pytest.mark.parametrize("pause", [0, 0.05])
def test_header_fields_that_are_too_long_are_refused(port: int, head: bytes, pause: float) -> None:
    parts = (head[:100], head[100:20_000], head[20_000:])
    assert statuses(talk(port, *parts, pause=pause)) == [431]
    allowed = request("/", "X: " + "x" * (http1.HEAD_BYTES - 100), CLOSE)
    assert statuses(talk(port, allowed)) == [200]


def test_fields_after_a_body_are_dropped_and_bounded(port: int) -> None:
    chunked = request("/", "Transfer-Encoding: chunked", CLOSE, method="POST") + b"1\r\na\r\n0\r\n"
    SEEN.clear()
    assert statuses(talk(port, chunked, b"Authorization: Bearer x\r\n\r\n", pause=0.05)) == [200]
    assert b"authorization" not in dict(SEEN[0]["headers"])
    assert b" and no more" in talk(port, chunked, b"X: ", b"x" * (2 * http1.HEAD_BYTES), pause=0.05)


def test_size_of_a_chunk_may_not_be_said_for_ever(port: int) -> None:
    chunked = request("/", "Transfer-Encoding: chunked", CLOSE, method="POST")
    assert b" and no more" in talk(port, chunked, b"1;x=" + b"x" * (2 * http1.HEAD_BYTES), pause=0.05)


def test_half_closed_connection_is_answered(port: int) -> None:
    assert statuses(talk(port, request("/"), end=True)) == [200]
    assert statuses(talk(port, request("/") + request("/parts"), end=True)) == [200, 200]
    assert statuses(talk(port, request("/") + request("/", "Content-Length: 9"), end=True)) == [200, 200]
    begun = request("/", "Content-Length: 9", method="POST")
    assert b"\r\n\r\nabc and no more" in talk(port, begun + b"abc", end=True)


def test_client_is_told_to_go_on_when_its_body_is_wanted(port: int) -> None:
    head = request("/", "Expect: 100-continue", "Content-Length: 3", CLOSE, method="POST")
    assert statuses(talk(port, head, b"abc", pause=0.1)) == [100, 200]
    unread = request("/unread", "Expect: 100-continue", "Content-Length: 3", method="POST")
    answers = talk(port, unread, pause=0.1)  # which may be followed by anything
    assert (statuses(answers), b"connection: close" in answers) == ([200], True)


def test_answer_to_a_body_that_nobody_reads_arrives(port: int) -> None:
    """Closed at once, the connection would be reset, and the answer with it."""
    head = request("/unread", "Content-Length: 50000000", method="POST")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(head)
        for _ in range(50):  # clients often send all before they read anything
            connection.sendall(b"x" * 100_000)
            time.sleep(0.005)
        assert statuses(connection.recv(65_536)) == [200]


@pytest.mark.parametrize(
    ("path", "wanted"),
    [("/fails", [500]), ("/field", [500]), ("/longer", [500]), ("/shorter", [500]), ("/breaks", [200])],
)
def test_answer_that_breaks_is_not_taken_for_a_whole_one(port: int, path: str, wanted: list[int]) -> None:
    answers = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request(path, method="POST", body=b"abc") + request("/"))
        try:
            while part := connection.recv(65_536):
                answers += part
        except ConnectionResetError:
            pass
    assert (statuses(answers), answers.endswith(b"0\r\n\r\n")) == (wanted, False)


def test_old_clients_get_no_chunks(port: int) -> None:
    answers = talk(port, b"POST /parts HTTP/1.0\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nabc")
    assert answers.endswith(b"connection: close\r\n\r\nabc")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/", "/parts", "/nothing"])
def test_answers_without_a_body_have_none(port: int, method: str, path: str) -> None:
    answers = talk(port, request(path, method=method) + request("/nothing", CLOSE))
    assert (statuses(answers)[1], len(statuses(answers))) == (204, 2)
    assert answers.endswith(b"\r\n\r\n")
    assert b"chunked" not in answers if method == "HEAD" or path != "/parts" else b"\r\n\r\n0\r\n\r\n" in answers


def test_other_protocols_are_not_spoken(port: int) -> None:
    upgrade = request("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    assert statuses(talk(port, upgrade)) == [200]


def test_targets_are_as_they_are_sent(port: int) -> None:
    SEEN.clear()
    targets = ["/a%2Fb?x=%20", "//a", "http://elsewhere/a?b", "/a#b", "*"]
    talk(port, *(request(target, method="OPTIONS") for target in targets), request("/", CLOSE), pause=0.02)
    found = [(scope["path"], scope["raw_path"], scope["query_string"]) for scope in SEEN[:4]]
    assert found == [
        ("/a/b", b"/a%2Fb", b"x=%20"), ("//a", b"//a", b""), ("/a", b"/a", b"b"), ("/a", b"/a", b""),
    ]  # fmt: skip


def test_connection_waits_for_a_request_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "HEAD_SECONDS", 1)
    with serving(timeout_keep_alive=3) as port:
        for slow in ([], [b"X: y\r\n"] * 5):
            begun = time.monotonic()
            assert statuses(talk(port, b"GET / HTTP/1.1\r\n", *slow, pause=0.3)) == [408]
            assert 0.9 < time.monotonic() - begun < 2.5
            assert statuses(talk(port, request("/") + b"GET / HTTP/1.1\r\n", *slow, pause=0.3)) == [200, 408]
        begun = time.monotonic()
        assert statuses(talk(port, request("/"), b"", request("/"), pause=1)) == [200, 200]
        assert 4.5 < time.monotonic() - begun < 8


def test_connections_are_only_so_many() -> None:
    with serving(limit_concurrency=2) as port:
        waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(2)]
        time.sleep(0.2)
        answers = talk(port)
        assert (statuses(answers), b"retry-after: 1" in answers) == ([503], True)
        for connection in waiting:
            connection.close()
        time.sleep(0.2)
        assert statuses(talk(port, request("/", CLOSE))) == [200]


@pytest.mark.parametrize("leave", ["silent", "close", "reset"])
def test_client_that_does_not_read_or_leaves_is_noticed(port: int, leave: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "UNREAD_SECONDS", 0.5)
    SEEN.clear()
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(request("/endless"))
    connection.recv(100)
    if leave != "silent":
        if leave == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
    else:
        wait_until(lambda: SEEN[-1:] == ["left"])
        assert len(SEEN) * 65_536 < 20_000_000  # what isn't read isn't made
    wait_until(lambda: SEEN[-1:] == ["left"])
    connection.close()


def test_client_that_reads_on_but_has_closed_its_half_is_noticed(port: int) -> None:
    for path in ("/endless", "/parts", "/whole"):
        begun = time.monotonic()
        assert talk(port, request(path), end=True)
        assert time.monotonic() - begun < 2  # nothing is waited for
        assert path != "/endless" or SEEN[-1] == "left"


def test_request_that_is_on_its_way_when_the_server_stops_is_answered() -> None:
    answers: list[bytes] = []
    with ExitStack() as stack:
        with serving() as port:
            new, half, idle = (
                stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10)) for _ in range(3)
            )
            half.sendall(b"GET / HTTP/1.1\r\n")
            idle.sendall(request("/"))
            idle.recv(65_536)

            def finish() -> None:
                time.sleep(0.4)
                new.sendall(request("/"))
                half.sendall(b"Host: x\r\n\r\n")
                answers.extend(b"".join(iter(partial(each.recv, 65_536), b"")) for each in (new, half, idle))

            thread = threading.Thread(target=finish)
            thread.start()
        thread.join()
    assert [statuses(each) for each in answers] == [[200], [200], []]
    assert all(b"connection: close" in each for each in answers[:2])
