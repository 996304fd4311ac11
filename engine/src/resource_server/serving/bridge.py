"""From ASGI to WSGI: Flask, run in a thread, and its answer taken in one piece.

a2wsgi, which Connexion runs Flask with, passes each part of an answer through the event loop and waits for it.
"""

import asyncio
import contextvars
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import lru_cache, partial
from typing import Any, cast

from a2wsgi.wsgi import Body, WSGIMiddleware
from starlette.types import Message, Receive, Scope, Send

from resource_server.serving.admission import SLOTS, TURN
from resource_server.serving.threads import THREAD

Directly = Callable[[Scope, Callable[[], dict[str, Any]], Any], Iterable[bytes] | None]


class Bridge:
    """Runs a WSGI application: where the request is, if that is a thread, or in a thread of its own.

    Args:
        app: The application, which Connexion's `add_wsgi_middleware` may wrap.
        directly: Answers in place of `app`, unless that is wrapped or this has nothing to say.
    """

    def __init__(self, app: Any, directly: Directly) -> None:
        self.app = self._unwrapped = app
        self._directly = directly
        self._others = WSGIMiddleware(app)  # lifespans and web sockets
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="WSGI")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._others(cast(Any, scope), cast(Any, receive), cast(Any, send))  # a2wsgi has types of its own
            return
        loop = scope.get(THREAD) or asyncio.get_running_loop()
        answer = _Answer(partial(_send_and_wait, loop, send))
        if THREAD in scope:
            scope[TURN].end()
            self._run(scope, receive, loop, answer)
        else:
            take = partial(contextvars.copy_context().run, self._run, scope, receive, loop, answer)
            with scope.get(SLOTS) or nullcontext():
                await loop.run_in_executor(self._threads, take)
        for message in answer.messages:
            await send(message)

    def _run(self, scope: Scope, receive: Receive, loop: asyncio.AbstractEventLoop, answer: "_Answer") -> None:
        def environ() -> dict[str, Any]:
            return _environ(scope, Body(loop, cast(Any, partial(_received, receive))))

        chunks = self._directly(scope, environ, answer.start) if self.app is self._unwrapped else None
        answer.take(self.app(environ(), answer.start) if chunks is None else chunks)


THREADS = 40
"""As many handlers can block at a time; Starlette has that many for its own."""


def _environ(scope: Scope, body: Body) -> dict[str, Any]:
    """What WSGI has in place of a scope (PEP 3333)."""
    root_path = scope.get("root_path", "")
    server, port = scope.get("server") or ("localhost", 80)
    client, client_port = scope.get("client") or ("", "")
    environ = {
        "asgi.scope": scope,
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": root_path.encode().decode("latin-1"),
        "PATH_INFO": scope["path"].removeprefix(root_path).encode().decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "REMOTE_ADDR": client,
        "REMOTE_PORT": str(client_port),
        "SERVER_NAME": server,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "wsgi.errors": sys.stderr,
        "wsgi.input": body,
        "wsgi.input_terminated": True,  # so Flask reads a body that doesn't say how long it is
        "wsgi.multiprocess": True,
        "wsgi.multithread": True,
        "wsgi.run_once": False,
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.version": (1, 0),
    }
    for field, value in scope["headers"]:
        name, text = _variable(field), value.decode("latin-1")
        environ[name] = f"{environ[name]},{text}" if name in environ else text
    return environ


@lru_cache(256)
def _variable(field: bytes) -> str:
    name = field.decode("latin-1").upper().replace("-", "_")
    # By the field: `content_type` would otherwise speak for `Content-Type`, which the body has been validated by.
    return name if field in (b"content-length", b"content-type") else f"HTTP_{name}"


def _send_and_wait(loop: asyncio.AbstractEventLoop, send: Send, message: Message) -> None:
    sending = asyncio.run_coroutine_threadsafe(_sent(send, message), loop)
    try:
        sending.result(SEND_SECONDS)
    except TimeoutError:
        sending.cancel()
        raise


SEND_SECONDS = 30
"""In which a client must take a part of a stream."""


async def _received(receive: Receive) -> Message:
    return await receive()  # a coroutine, where servers may have something else to await


async def _sent(send: Send, message: Message) -> None:
    await send(message)


class _Answer:
    """What a WSGI application answers: messages for the event loop, or a stream that has been sent already.

    Args:
        send: Sends a message of a stream, and waits until that is done.
    """

    def __init__(self, send: Callable[[Message], None]) -> None:
        self.messages: list[Message] = []
        self._send = send
        self._start: Message = {}
        self._length: bytes | None = None
        self._streams = False

    def take(self, chunks: Iterable[bytes]) -> None:
        """Take the answer of an application."""
        try:
            for chunk in chunks:
                self._write(chunk)
        finally:
            getattr(chunks, "close", lambda: None)()
        if self._streams:
            self._send({"type": "http.response.body", "body": b""})
        elif not self.messages:
            self.messages = [self._start, {"type": "http.response.body", "body": b""}]

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        """WSGI's `start_response`."""
        if exc_info is not None:
            raise exc_info[1].with_traceback(exc_info[2])
        encoded = [(name.strip().lower().encode("latin-1"), value.strip().encode("latin-1")) for name, value in headers]
        self._start = {"type": "http.response.start", "status": int(status.split(" ", 1)[0]), "headers": encoded}
        self._length = dict(encoded).get(b"content-length")
        return self._write

    def _write(self, chunk: bytes) -> None:
        body: Message = {"type": "http.response.body", "body": chunk}
        if not self._streams and not self.messages and self._length == b"%d" % len(chunk):
            self.messages = [self._start, body]
            return
        if not self._streams:
            self._streams = True
            self._send(self._start)
        self._send({**body, "more_body": True})
