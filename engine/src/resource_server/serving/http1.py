"""HTTP/1.1 for uvicorn (RFC 9112): what a connection may take, and the requests on it.

uvicorn's own protocols wait for ever for header fields, and for clients that don't read their answers.
"""

import asyncio
import contextvars
import logging
import re
from collections import deque
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import unquote

import httptools
from starlette.types import Message, Scope
from uvicorn.config import Config
from uvicorn.server import ServerState

logger = logging.getLogger(__name__)

HEAD_BYTES = 32 * 1024
"""Of a request's URL and header fields, at most."""

HEAD_SECONDS = 10
"""In which they must have come, from the first of them on."""

UNREAD_SECONDS = 30
"""In which a client must take most of what is on its way to it."""

_LINGER_SECONDS = 2
"""For which what still comes is thrown away at the end: a connection that is closed at once takes the answer along."""

_UNREAD_BODY = 64 * 1024
"""Bytes of a body that wait for whoever reads it; until then no more are taken."""

_NEVER = float("inf")


class Connection(asyncio.Protocol):
    """A client's connection: `uvicorn.Config(app, http=Connection)`.

    Of uvicorn's settings, `timeout_keep_alive` is how long it waits for its next request, and `limit_concurrency` how
    many connections there may be. uvicorn calls it with the arguments.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._config = config
        self._server_state = server_state
        self._app_state = app_state
        self.loop = _loop or asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._in_head = False
        self._head_size = 0
        self._unframed = 0
        """Bytes that have come since the parser has last found something."""
        self._coming: _Request | None = None
        self._answering: _Request | None = None
        self._waiting: deque[_Request] = deque()
        """Requests that have come before another was answered."""
        self._is_ending = False
        """Whether what still comes is thrown away."""
        self._is_stopping = False
        self._is_half_closed = False
        self._drained: asyncio.Future[None] | None = None
        """Is done when the client reads again, if it reads too slowly."""
        self._deadline = _NEVER
        self._timer: asyncio.TimerHandle | None = None

    # What the event loop and uvicorn call

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request, if there is room for another connection."""
        self._transport = cast("asyncio.Transport", transport)
        self._server = transport.get_extra_info("sockname")[:2]
        self._client = transport.get_extra_info("peername")[:2]
        self._connections.add(self)
        most = self._config.limit_concurrency
        if most is not None and len(self._connections) > most:
            self._refuse(503)
        else:
            self._wait(self._config.timeout_keep_alive)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits for the client."""
        self._connections.discard(self)
        self._is_ending = True
        self._waiting.clear()
        self._deadline = _NEVER
        if self._timer:
            self._timer.cancel()
        self._wake()

    def data_received(self, data: bytes) -> None:
        """Parse what has come; requests begin meanwhile."""
        if self._is_ending:
            return
        self._unframed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._take_no_more()  # the request is answered as if it hadn't asked for another protocol
        except httptools.HttpParserError:
            self._give_up(431 if self._head_size > HEAD_BYTES else 400)
        else:
            if self._unframed > HEAD_BYTES:
                self._give_up(431)
            elif self._in_head and not self._unframed and not self._answering:  # it has just begun
                self._wait(self._patience)

    def eof_received(self) -> bool:
        """Answer what has come: the client sends no more, but may still read."""
        self._is_half_closed = True
        self._take_no_more()
        return self._answering is not None

    def pause_writing(self) -> None:
        """Have who sends wait, but not for ever."""
        self._drained = self.loop.create_future()
        self._wait(UNREAD_SECONDS)

    def resume_writing(self) -> None:
        """Have who sends go on."""
        self._deadline = _NEVER
        self._wake()

    def shutdown(self) -> None:
        """Close when all that has come is answered. A connection that is new may bring a request at any moment."""
        self._is_stopping = True
        if not self._answering:
            if self._in_head or self._coming is None:
                self._wait(_LINGER_SECONDS)
            else:
                self._transport.close()

    # What the parser calls

    def on_message_begin(self) -> None:
        self._url = b""
        self._fields = []
        self._in_head = True
        self._head_size = 0
        self._unframed = 0

    def on_url(self, part: bytes) -> None:
        self._count(len(part))
        self._url += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4)
        if self._in_head:  # fields that come after the body (RFC 9110, section 6.5) are dropped
            self._fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._unframed = 0
        self._check_host()
        keep_alive = self._parser.should_keep_alive()
        self._coming = request = _Request(self, self._scope(), keep_alive=keep_alive)
        if self._answering:
            self._waiting.append(request)
            self._transport.pause_reading()
        else:
            self._answer(request)

    def on_body(self, part: bytes) -> None:
        self._unframed = 0
        if self._coming and self._coming.take(part) > _UNREAD_BODY:
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        self._unframed = 0
        if self._coming:
            self._coming.is_whole = True
            self._coming.wake()

    def _check_host(self) -> None:
        # RFC 9112, section 3.2: one that is missing, or there twice, or that isn't one, is answered with 400.
        hosts = [value for name, value in self._fields if name == b"host"]
        if len(hosts) != 1 and (hosts or self._parser.get_http_version() == "1.1"):
            raise ValueError("The request has no Host, or several.")
        if hosts and not _is_host(hosts[0]):
            raise ValueError("The request's Host is none.")

    def _scope(self) -> Scope:
        path, query = self._url, b""
        if path[:1] == b"/" and b"#" not in path:
            path, _, query = path.partition(b"?")
        else:
            url = httptools.parse_url(path)
            path, query = url.path or b"/", url.query or b""
        text = path.decode("ascii")
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": self._parser.get_http_version(),
            "method": self._parser.get_method().decode("ascii"),
            "scheme": "http",
            "path": unquote(text) if "%" in text else text,
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": self._fields,
            "server": self._server,
            "client": self._client,
            "state": self._app_state.copy(),
        }

    def _count(self, size: int) -> None:
        self._head_size += size
        if self._head_size > HEAD_BYTES:
            raise ValueError("The header fields are too long.")

    # What requests call

    @property
    def standing_fields(self) -> Iterable[tuple[bytes, bytes]]:
        """The header fields of every answer: the date."""
        return self._server_state.default_headers

    def is_gone(self, request: "_Request") -> bool:
        """Whether the client has left, or has left off sending a request."""
        return self._is_half_closed or self._transport.is_closing() or (self._is_ending and not request.is_whole)

    def is_last(self, request: "_Request") -> bool:
        """Whether no other request is answered after one."""
        return not request.is_whole or (not self._waiting and (self._is_ending or self._is_stopping))

    def write(self, data: bytes) -> None:
        """Send something."""
        if not self._transport.is_closing():
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait for a client that reads too slowly."""
        if self._drained:
            await self._drained

    def read_on(self) -> None:
        """Take more of the client."""
        if not self._waiting and not self._transport.is_closing() and not self._is_half_closed:
            self._transport.resume_reading()

    def go_on(self, request: "_Request") -> None:
        """Go on, as a request has been answered."""
        self._server_state.total_requests += 1
        self._answering = None
        if self._transport.is_closing():
            return
        if not request.keep_alive:
            self._end()
        elif self._waiting:
            self._answer(self._waiting.popleft())
        elif self._is_ending:  # nothing more comes
            self._end()
        else:
            self._wait(self._patience)
        self.read_on()

    def break_off(self, request: "_Request", status: int) -> None:
        """End, as a request won't be answered by the application: what has been sent must not be taken for the whole.

        Args:
            request: The request.
            status: What is answered, if nothing has been yet.
        """
        self._answering = None
        if request.has_begun:
            self._transport.abort()
        elif not self._transport.is_closing():
            self._refuse(status)

    # The rest

    @property
    def _connections(self) -> set[Any]:
        return self._server_state.connections

    @property
    def _patience(self) -> float:
        """Seconds for the next request, or the rest of its head."""
        seconds: float = self._config.timeout_keep_alive
        return min(HEAD_SECONDS, seconds) if self._in_head else seconds

    def _answer(self, request: "_Request") -> None:
        self._answering = request
        self._deadline = _NEVER
        application = cast("Any", self._config.loaded_app)(request.scope, request.receive, request.send)
        # In a context of its own: nothing of a request is left for the next one on its connection.
        task = self.loop.create_task(application, context=contextvars.Context())
        tasks = self._server_state.tasks
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(request.ended)

    def _give_up(self, status: int) -> None:
        """What has come is no request, or no end of one."""
        if self._answering:
            self._take_no_more()
        else:
            self._refuse(status)

    def _take_no_more(self) -> None:
        self._is_ending = True
        self._wake()

    def _refuse(self, status: int) -> None:
        """Answer what never becomes a request."""
        fields = [(b"content-length", b"0"), (b"connection", b"close")]
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            fields.append((b"retry-after", b"1"))
        self.write(_head(status, fields))
        self._end()

    def _end(self) -> None:
        """Close, when the client has had time to read what has been sent."""
        self._is_ending = True
        if self._is_half_closed:
            self._transport.close()
        elif not self._transport.is_closing():
            self._transport.write_eof()
            self._wait(_LINGER_SECONDS)

    def _wake(self) -> None:
        if self._drained and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None
        if self._answering:
            self._answering.wake()

    def _wait(self, seconds: float) -> None:
        """Close after some time, unless something happens that sets another deadline."""
        self._deadline = deadline = self.loop.time() + seconds
        if self._timer is None or self._timer.when() > deadline:
            if self._timer:
                self._timer.cancel()
            self._timer = self.loop.call_at(deadline, self._look)

    def _look(self) -> None:
        self._timer = None
        if self.loop.time() < self._deadline:
            if self._deadline != _NEVER:
                self._timer = self.loop.call_at(self._deadline, self._look)
        elif self._transport.get_write_buffer_size():
            self._transport.abort()
        elif self._in_head and not self._is_ending:
            self._refuse(408)
        else:
            self._transport.close()


@lru_cache(64)  # most clients call the same
def _is_host(value: bytes) -> bool:
    """Whether a field's value is a host, and perhaps a port (RFC 3986, section 3.2)."""
    found = _HOST.fullmatch(value.strip(b" \t"))
    return found is not None and int(found[1] or 0) < 2**16


_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._~!$&'()*+;=%-]{1,255})(?::([0-9]{0,5}))?")
"""Without the comma, which stands between the values of several."""


class _Request:
    """A request, and what is answered to it: `receive` and `send` of ASGI."""

    __slots__ = (
        "_body",
        "_chunked",
        "_connection",
        "_expects",
        "_has_read",
        "_head",
        "_left",
        "_silent",
        "_waiter",
        "has_begun",
        "is_done",
        "is_whole",
        "keep_alive",
        "scope",
    )

    def __init__(self, connection: Connection, scope: Scope, *, keep_alive: bool) -> None:
        self._connection = connection
        self.scope = scope
        self.keep_alive = keep_alive and scope["http_version"] == "1.1"
        self.is_whole = False
        """Whether all of its body has come."""
        self.has_begun = False
        """Whether some of its answer has been sent."""
        self.is_done = False
        """Whether all of that has."""
        self._body = b""
        self._has_read = False
        self._waiter: asyncio.Future[None] | None = None
        self._expects = any(name == b"expect" and value.lower() == b"100-continue" for name, value in scope["headers"])
        self._head = b""
        self._silent = False
        self._chunked = False
        self._left: int | None = None
        """Bytes of the answer that are still to come, if it says how many it has."""

    def take(self, part: bytes) -> int:
        """Keep a part of the body until it is read; returns how many bytes wait for that."""
        if self.is_done:
            return 0
        self._body += part
        self.wake()
        return len(self._body)

    def wake(self) -> None:
        """Have `receive` look again."""
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    async def receive(self) -> Message:
        """The next part of the body; or that nothing comes any more, as the client has gone or has its answer."""
        connection = self._connection
        if self._expects and not self.has_begun:
            self._expects = False
            connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while not (self._body or (self.is_whole and not self._has_read)):
            if self.is_done or connection.is_gone(self):
                return {"type": "http.disconnect"}
            self._waiter = connection.loop.create_future()
            await self._waiter
        body, self._body = self._body, b""
        self._has_read = self.is_whole
        connection.read_on()
        return {"type": "http.request", "body": body, "more_body": not self.is_whole}

    async def send(self, message: Message) -> None:
        """Send a part of the answer; returns when the client has taken most of what is on its way."""
        if message["type"] == "http.response.start":
            self._head = self._begin(message["status"], message.get("headers", ()))
            if self._left is not None:
                return  # it is sent with the body, which comes at once
            part, more = b"", True
        else:
            part, more = message.get("body", b""), message.get("more_body", False)
        data = self._framed(part, more=more)
        if data:
            self.has_begun = True
            self._connection.write(data)
            await self._connection.drain()
        if not more and not self.is_done:
            self.is_done = True
            self.wake()
            self._connection.go_on(self)

    def ended(self, task: "asyncio.Task[None]") -> None:
        """See that it has been answered. It is cancelled if the server stops and it takes too long."""
        error = None if task.cancelled() else task.exception()
        if error:
            logger.error("The application has failed", exc_info=error)
        if not self.is_done:
            self._connection.break_off(self, 503 if task.cancelled() else 500)

    def _begin(self, status: int, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
        """The head of the answer. What frames it is the connection's to say, but for its length."""
        sent = list(self._connection.standing_fields)
        for field in fields:
            name, value = field
            if name == b"content-length":
                self._left = int(value)
            elif name == b"connection":
                self.keep_alive = self.keep_alive and b"close" not in value.lower()
            if name not in _FRAMING:
                sent.append(field)
        if self.scope["method"] == "HEAD" or status in _WITHOUT_BODY:
            self._silent = True
        elif self._left is None:
            self._chunked = self.scope["http_version"] == "1.1"
            self.keep_alive = self.keep_alive and self._chunked  # the body ends with the connection otherwise
            sent += _CHUNKED if self._chunked else ()
        if not self.keep_alive or self._connection.is_last(self):
            self.keep_alive = False
            sent.append((b"connection", b"close"))
        return _head(status, sent)

    def _framed(self, part: bytes, *, more: bool) -> bytes:
        head, self._head = self._head, b""
        if self._silent:
            return head
        if self._chunked:
            chunk = b"%x\r\n%b\r\n" % (len(part), part) if part else b""
            return head + chunk if more else head + chunk + b"0\r\n\r\n"
        if self._left is not None:
            self._left -= len(part)
            if self._left < 0 or (self._left and not more):
                raise RuntimeError("The answer doesn't have the length that it says it has.")
        return head + part


def _head(status: int, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    lines = [_status_line(status), *(b"%b: %b" % field for field in fields)]
    head = b"\r\n".join(lines) + b"\r\n\r\n"
    if not head.count(b"\n") == head.count(b"\r") == len(lines) + 1:
        raise ValueError("A header field has more than one line.")
    return head


@lru_cache
def _status_line(status: int) -> bytes:
    reason = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
    return b"HTTP/1.1 %d %b" % (status, reason.encode())


_FRAMING = b"connection", b"transfer-encoding"
_CHUNKED = ((b"transfer-encoding", b"chunked"),)
_WITHOUT_BODY = 204, 304
_ASGI = {"version": "3.0", "spec_version": "2.3"}
