"""The start and the stop of a server, by ASGI's lifespan protocol."""

import traceback
from contextlib import AbstractAsyncContextManager
from typing import Any

from starlette.types import Receive, Send


async def answer_lifespan(
    lifespan: AbstractAsyncContextManager[Any], receive: Receive, send: Send, *, tracing: bool
) -> None:
    """Start what starts with the server, and stop it when that stops."""
    stage = "startup"
    await receive()
    try:
        async with lifespan:
            await send({"type": "lifespan.startup.complete"})
            stage = "shutdown"
            await receive()
    except BaseException:
        await send({"type": f"lifespan.{stage}.failed", "message": traceback.format_exc()})
        raise
    if tracing:
        from resource_server.serving.tracing import flush_traces

        flush_traces()
    await send({"type": "lifespan.shutdown.complete"})
