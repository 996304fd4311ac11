"""What there is to know of each request once it has been answered, for logs and metrics.

Whoever knows something writes it into the record: the router the operation, the authorization the subject, the errors
the code. Nothing of a token gets there but its `sub` and its client.
"""

import random
import time
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from resource_server.networks import Networks, comes_from
from resource_server.serving.threads import NeedsEventLoop

Record = MutableMapping[str, Any]

RECORD = "api.record"
"""Where the scope of a request holds its record."""


def note(scope: Scope, **facts: Any) -> None:
    """Write something into the record of a request, if one is kept."""
    record = scope.get(RECORD)
    if record is not None:
        record.update(facts)


class Records:
    """Keeps a record of each request, under an id.

    Args:
        app: The application.
        observers: Are called with each record.
        trusted: From where the id that `X-Request-Id` brings is taken over.
    """

    def __init__(self, app: ASGIApp, observers: Sequence[Callable[[Record], None]], trusted: Networks) -> None:
        self._app = app
        self._observers = observers
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        request_id = self._brought(scope) or f"{random.getrandbits(64):016x}"  # it is no secret
        client = scope.get("client")
        record: Record = {
            "request_id": request_id,
            "client": client[0] if client else None,
            "method": scope["method"],
            "path": scope["path"],
            "status": None,
        }
        try:
            await self._app({**scope, RECORD: record}, receive, send)
        except NeedsEventLoop:
            raise  # it begins anew, and with it its record
        except BaseException:
            self._observe(record, begun)
            raise
        self._observe(record, begun)

    def _observe(self, record: Record, begun: float) -> None:
        record["seconds"] = time.perf_counter() - begun
        record["status"] = record["status"] or 500
        for observe in self._observers:
            observe(record)

    def _brought(self, scope: Scope) -> str | None:
        if not comes_from(scope, self._trusted):
            return None
        found = [value for name, value in scope["headers"] if name == b"x-request-id"]
        text = found[-1].decode("latin-1") if found else ""
        return text if text.isascii() and text.isprintable() and 0 < len(text) <= 128 else None
