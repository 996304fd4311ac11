"""What a request's body may take: bytes and time. An incomplete one is nobody's body."""

import asyncio

from starlette.exceptions import HTTPException

from resource_server.serving.exchange import Exchange

BODY_SECONDS = 30
"""In which a body must have come."""


async def read_body(exchange: Exchange, most: int) -> bytes:
    """Read the whole body of a request.

    Args:
        exchange: The request.
        most: How many bytes it may have.

    Raises:
        HTTPException: With 413, if it is longer; with 408, if it hasn't come in time; with 400, if it isn't whole.
    """
    length = _length(exchange)
    if length is not None and length > most:
        raise _too_long(most)
    if not comes_with_body(exchange):
        return b""
    parts: list[bytes] = []
    size = 0
    more = True
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while more:
                message = await exchange.receive()
                if message["type"] == "http.disconnect":
                    raise HTTPException(400, _INCOMPLETE)  # which the client may still read
                part = message.get("body", b"")
                size += len(part)
                if size > most:
                    raise _too_long(most)
                parts.append(part)
                more = message.get("more_body", False)
    except TimeoutError as error:
        raise HTTPException(408, "The request's body has not come in time.") from error
    if length is not None and size != length:
        raise HTTPException(400, _INCOMPLETE)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def comes_with_body(exchange: Exchange) -> bool:
    """Whether a request says that it has a body: by its length, or in chunks."""
    length = _length(exchange)
    if length is not None:
        return length > 0
    return exchange.field(b"transfer-encoding") is not None or not _is_http_1(exchange)


def _length(exchange: Exchange) -> int | None:
    declared = exchange.field(b"content-length")
    return int(declared) if declared is not None and declared.isdigit() else None


_INCOMPLETE = "The request's body ends before it is complete."


def _is_http_1(exchange: Exchange) -> bool:
    version: str = exchange.scope.get("http_version", "1.1")
    return version.startswith("1")


def _too_long(most: int) -> HTTPException:
    return HTTPException(413, f"The request's body is longer than {most} bytes.")
