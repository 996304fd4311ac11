"""What one request may take: bytes and time for its body. Header fields and tokens have limits of their own.

The server refuses header fields of more than 32 KiB or `KEEP_ALIVE_SECONDS`, the validator tokens of more than 16 KiB.
"""

import asyncio

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resource_server.serving.threads import THREAD

BODY_SECONDS = 30
"""In which a body must have come."""


class Limits:
    """Refuses bodies that are too long or too slow.

    Args:
        app: The application.
        max_body: How many bytes a body may have.
    """

    def __init__(self, app: ASGIApp, max_body: int) -> None:
        self._app = app
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or THREAD in scope:  # in a thread there is none
            await self._app(scope, receive, send)
        else:
            self._check_length(scope)
            await self._app(scope, self._limited(receive), send)

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
