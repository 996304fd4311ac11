"""A limit: an ASGI application that looks at nothing and answers."""

from collections.abc import Awaitable, Callable
from typing import Any

_PRIVATE = b'{"message":"Hello from a private endpoint! You need to be authenticated to see this."}'
_PUBLIC = b'{"message":"Hello from a public endpoint! You don\'t need to be authenticated to see this."}'


async def app(
    scope: dict[str, Any], _receive: Callable[[], Awaitable[Any]], send: Callable[[dict[str, Any]], Awaitable[None]]
) -> None:
    """Answer as the API answers good requests."""
    body = _PUBLIC if scope["path"] == "/api/public" else _PRIVATE
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
