"""One request, and what becomes known of it on its way; and its answer."""

import asyncio
import contextvars
import random
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.responses import Response
from starlette.types import Message, Receive, Scope

if TYPE_CHECKING:
    from resource_server.serving.plans import Plan
    from resource_server.serving.tracing import Trace

Record = MutableMapping[str, Any]
"""What there is to know of a request once it has been answered, for logs and metrics.

Whoever knows something writes it: the router the operation, the authorization the subject, the errors the code. Nothing
of a token gets there but its `sub` and its client.
"""

Fields = list[tuple[bytes, bytes]]
"""Header fields, their names in small letters."""

Page = Callable[[Scope], Awaitable[Response]]
"""Answers requests for one path that isn't an operation's."""

CURRENT: contextvars.ContextVar["Exchange"] = contextvars.ContextVar("exchange")
"""The exchange that a handler, and all that surrounds it, belongs to."""

BUSY = "busy"
"""Why a request was refused that there was no room for."""

EXCHANGE = "resource_server.exchange"
"""Where the scope and the environment of a request hold its exchange."""


class Exchange:
    """A request on its way.

    Args:
        scope: What the server says of it, as the proxy in front has it; a copy, with room for more.
        receive: The server's, for the body.
        request_id: By which it is found in the logs.
    """

    __slots__ = (
        "answered",
        "arguments",
        "begun",
        "body",
        "fields",
        "has_slot",
        "plan",
        "receive",
        "record",
        "route",
        "scope",
        "trace",
        "value",
        "variables",
    )

    def __init__(self, scope: Scope, receive: Receive, request_id: str | None = None) -> None:
        self.begun = time.perf_counter()
        self.scope = scope
        self.receive = receive
        self.body = b""
        self.arguments: dict[str, Any] = {}
        """What the parameters say, by the handler's names."""
        self.value: Any = None
        """What the body says."""
        self.plan: Plan | None = None
        self.fields: Fields = []
        """What is added to the answer, whatever it is."""
        self.trace: Trace | None = None
        self.route: str | None = None
        """The path template of the operation, below the base path."""
        self.answered = False
        self.has_slot = False
        self.variables: contextvars.Context
        """In which the handler runs, and all that surrounds it."""
        client = scope.get("client")
        self.record: Record = {
            "request_id": request_id or f"{random.getrandbits(64):016x}",  # it is no secret
            "client": client[0] if client else None,
            "method": scope["method"],
            "path": scope["path"],
            "status": None,
        }
        scope[EXCHANGE] = self
        scope["extensions"] = {**(scope.get("extensions") or {}), "connexion_context": {}}

    @property
    def context(self) -> dict[str, Any]:
        """What Connexion passes to a handler that asks for it by name, `user` and `token_info`."""
        context: dict[str, Any] = self.scope["extensions"]["connexion_context"]
        return context

    @property
    def seconds(self) -> float:
        """How long it has taken."""
        return time.perf_counter() - self.begun

    def field(self, name: bytes) -> bytes | None:
        """The value of the first header field of a name, which is in small letters."""
        for each, value in self.scope["headers"]:
            if each == name:
                return bytes(value)
        return None


def note(scope: Scope, **facts: Any) -> None:
    """Write something into the record of a request, if one is kept."""
    exchange: Exchange | None = scope.get(EXCHANGE)
    if exchange is not None:
        exchange.record.update(facts)


class ClientGone(Exception):
    """The client has left before it had sent or taken everything."""


class Answer(NamedTuple):
    """What is answered.

    Args:
        status: The status code.
        fields: The header fields.
        body: The whole body, unless it comes in parts.
        parts: The parts of a body that is made while it is sent.
        close: Is called in the end if there are parts, whatever happens.
    """

    status: int
    fields: Sequence[tuple[bytes, bytes]]
    body: bytes = b""
    parts: Iterator[bytes] | None = None
    close: Callable[[], object] = lambda: None


async def answer_of(response: Response, scope: Scope) -> Answer:
    """What a response of Starlette's answers, all of it."""
    status, fields, body = 500, [], b""

    async def receive() -> Message:
        await asyncio.get_running_loop().create_future()  # there is nothing more to come, and nobody leaves
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal status, fields, body
        if message["type"] == "http.response.start":
            status, fields = message["status"], list(message["headers"])
        else:
            body += message.get("body", b"")

    await response(scope, receive, send)
    return Answer(status, fields, body)
