"""What one request, and all together, may take of a worker. What is beyond is refused at once: nothing piles up."""

import asyncio
import threading
from types import TracebackType

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.threads import THREAD

SLOTS = "api.slots"
"""In the scope of a request: the slots that it takes one of while it is worked on."""

BODY_SECONDS = 30
"""In which a body must have come."""


class Slots:
    """As many requests are worked on at a time; entered when there is none left, it raises 503."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            if self._taken >= self._most:
                raise HTTPException(503, "The server is busy. Try again shortly.", {"Retry-After": "1"})
            self._taken += 1

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        with self._lock:
            self._taken -= 1


class Limits:
    """Refuses what is too much, too long or too slow.

    Args:
        app: The application.
        max_requests: How many are worked on at a time. One that still waits for its body is not.
        max_body: How many bytes a body may have.
    """

    def __init__(self, app: ASGIApp, max_requests: int, max_body: int) -> None:
        self._app = app
        self._slots = Slots(max_requests)
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif THREAD in scope:
            with self._slots:
                await self._app(scope, receive, send)
        else:
            self._check_length(scope)
            await self._app({**scope, SLOTS: self._slots}, self._limited(receive), send)

    def _check_length(self, scope: Scope) -> None:
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > self._max_body:
                raise self._too_long()

    def _limited(self, receive: Receive) -> Receive:
        length, ended = 0, False
        until = asyncio.get_running_loop().time() + BODY_SECONDS

        async def receive_limited() -> Message:
            nonlocal length, ended
            try:
                async with asyncio.timeout_at(None if ended else until):
                    message = await receive()
            except TimeoutError as error:
                raise HTTPException(408, "The request's body has not come in time.") from error
            length += len(message.get("body", b""))
            ended = not message.get("more_body", False)
            if length > self._max_body:
                raise self._too_long()
            return message

        return receive_limited

    def _too_long(self) -> HTTPException:
        return HTTPException(413, f"The request's body is longer than {self._max_body} bytes.")
