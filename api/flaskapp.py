"""Connexion's Flask app, without what it does anew on every request, and with one hand-over to a thread.

Connexion inspects a handler's signature and rebuilds its decorators on each call; here that is done once. a2wsgi, which
runs Flask for it, passes each part of an answer through the event loop and waits for it; here a thread brings back the
whole answer. `connexion.FlaskApp` in place of `FlaskApp` turns both off.
"""

import asyncio
import contextvars
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import Any, cast

import connexion
from a2wsgi.wsgi import Body, WSGIMiddleware, build_environ
from connexion.apps.flask import FlaskApi, FlaskASGIApp, FlaskOperation
from connexion.decorators import FlaskDecorator
from connexion.frameworks.flask import Flask as FlaskFramework
from connexion.operations import AbstractOperation
from connexion.spec import Specification
from starlette.types import Message, Receive, Scope, Send
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response


class FlaskApp(connexion.FlaskApp):  # type: ignore[misc]  # Connexion's classes are not typed
    """Takes the place of Connexion's."""

    def __init__(self, import_name: str, *, server_args: dict[str, Any], **options: Any) -> None:
        super().__init__(import_name, **options)
        self._middleware_app = _FlaskASGIApp(import_name, server_args)
        self.middleware.app = self._middleware_app
        self.app = self._middleware_app.app
        self.app.register_error_handler(HTTPException, self._http_exception)


class _FlaskASGIApp(FlaskASGIApp):  # type: ignore[misc]
    def __init__(self, import_name: str, server_args: dict[str, Any]) -> None:
        super().__init__(import_name, server_args)
        self.asgi_app = _Bridge(self.app.wsgi_app)

    def add_api(self, specification: Specification, *, name: str | None = None, **options: Any) -> FlaskApi:
        """Add the operations of a contract."""
        api = _FlaskApi(specification, **options)
        self.app.register_blueprint(api.blueprint, **({"name": name} if name is not None else {}))
        return api


class _FlaskApi(FlaskApi):  # type: ignore[misc]
    def make_operation(self, operation: AbstractOperation) -> FlaskOperation:
        """The view of an operation."""
        made = _FlaskOperation.from_operation(operation, pythonic_params=self.pythonic_params, jsonifier=self.jsonifier)
        made.operation = operation
        return made


class _FlaskOperation(FlaskOperation):  # type: ignore[misc]
    """A view whose decorators are made once."""

    operation: AbstractOperation

    @cached_property
    def _decorated(self) -> Callable[[Any], Response]:
        decorated: Callable[[Any], Response] = FlaskDecorator(
            pythonic_params=self.pythonic_params, jsonifier=self.jsonifier
        ).decorate(self._fn)
        return decorated

    @cached_property
    def _uri_parser(self) -> Any:
        operation = self.operation
        return operation.uri_parser_class(operation.parameters, operation.body_definition())

    def __call__(self, *args: Any, **kwargs: Any) -> Response:
        return self._decorated(FlaskFramework.get_request(uri_parser=self._uri_parser))


class _Bridge:
    """Runs a WSGI application in threads, and takes an answer that is complete in one piece.

    Args:
        app: The application, which Connexion's `add_wsgi_middleware` may wrap.
    """

    def __init__(self, app: Any) -> None:
        self.app = app
        self._others = WSGIMiddleware(app)  # lifespans and web sockets
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="WSGI")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._others(cast(Any, scope), cast(Any, receive), cast(Any, send))  # a2wsgi has types of its own
            return
        loop = asyncio.get_running_loop()
        environ: Any = build_environ(cast(Any, scope), Body(loop, cast(Any, receive)))
        answer = _Answer(lambda message: asyncio.run_coroutine_threadsafe(_sent(send, message), loop).result())
        take = partial(contextvars.copy_context().run, answer.take, self.app, environ)
        await loop.run_in_executor(self._threads, take)
        for message in answer.messages:
            await send(message)


_THREADS = 40  # as many handlers can block at a time; Starlette has that many for its own


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

    def take(self, app: Any, environ: dict[str, Any]) -> None:
        """Call the application and take its answer."""
        chunks: Iterable[bytes] = app(environ, self._start_response)
        try:
            for chunk in chunks:
                self._write(chunk)
        finally:
            getattr(chunks, "close", lambda: None)()
        if self._streams:
            self._send({"type": "http.response.body", "body": b""})
        elif not self.messages:
            self.messages = [self._start, {"type": "http.response.body", "body": b""}]

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
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
