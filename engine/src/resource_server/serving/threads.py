"""Requests that stay in the thread of the server that has read them.

An ASGI application is made for an event loop and Flask for threads, so a request is handed over, and its answer back.
granian reads requests in threads, and hands them to its event loop. Here one that needs no event loop is run in the
thread at once, by stepping through its coroutine. One that does need it (to read a body, to wait for the issuer's keys,
for a page of Swagger UI) moves there, and holds no thread while it waits.

With another server, or another loop than `ThreadedLoop`, all requests run in the event loop.
"""

import asyncio
import types
from asyncio.events import _get_running_loop
from collections.abc import Callable, Generator
from contextvars import Context
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

THREAD = "api.thread"
"""In the scope of a request that runs in a thread: the event loop."""

USED = "api.used"
"""In the same scope, and when the request begins anew: the proofs that it has used, which are used once."""


class NeedsEventLoop(BaseException):
    """Raised where a request turns out to need an event loop, before anything else than a used proof has come of it.

    It begins anew there.
    """


def need_event_loop() -> None:
    """Say that the request needs one.

    Raises:
        NeedsEventLoop: It does.
    """
    raise NeedsEventLoop


class InThreads:
    """Runs what needs no event loop where it is called.

    Args:
        app: The application, which never waits but where it raises `NeedsEventLoop`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            self._loop = asyncio.get_running_loop()
        elif _get_running_loop() is None:
            if not _has_body(scope):
                used: set[bytes] = set()
                try:
                    await self._app({**scope, THREAD: self._loop, USED: used}, _nothing, send)
                except NeedsEventLoop:
                    scope = {**scope, USED: used}
                else:
                    return
            await _move_to_event_loop()
        await self._app(scope, receive, send)


def _has_body(scope: Scope) -> bool:
    # RFC 9112, section 6.3: a request without these has none.
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])


async def _nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


@types.coroutine
def _move_to_event_loop() -> Generator[None, None, None]:
    yield


class ThreadedLoop(asyncio.SelectorEventLoop):
    """An event loop that has what other threads ask it to run begin there, and takes over what has to wait."""

    def call_soon_threadsafe(  # type: ignore[override]  # typeshed's variadic generic is of no use here
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Any:
        """Have the loop call something; granian gives a coroutine as first argument, to be made a task."""
        if args and isinstance(args[0], types.CoroutineType):
            try:
                (context.copy() if context else Context()).run(args[0].send, None)
            except StopIteration:
                return None
        return super().call_soon_threadsafe(callback, *args, context=context)
