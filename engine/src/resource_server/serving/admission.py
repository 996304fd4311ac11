"""How many requests a worker works on at a time. What is beyond is refused at once: nothing piles up."""

import json
import select
import threading
from collections.abc import Collection
from types import TracebackType

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from resource_server.serving.edge import SAFE
from resource_server.serving.problems import problem
from resource_server.serving.records import RECORD, note
from resource_server.serving.threads import THREAD

SLOTS = "api.slots"
"""In the scope of a request: the slots that it takes one of while it is worked on."""

TURN = "api.turn"
"""In the scope of a request that runs in a thread: its turn, which ends where a handler may begin to wait."""

_BUSY = "The server is busy. Try again shortly."
_RETRY = {"Retry-After": "1"}

_EXPOSED = b"access-control-expose-headers", b"Retry-After, X-Request-Id"
_PATIENCE = 0.05
"""Seconds for which a request waits for its turn. What makes others wait longer isn't computing, but waiting itself."""


class Slots:
    """As many requests are worked on at a time; entered when there is none left, it raises 503."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Take one, if there is one left."""
        with self._lock:
            if self._taken >= self._most:
                return False
            self._taken += 1
            return True

    def give_back(self) -> None:
        """Let another request have it."""
        with self._lock:
            self._taken -= 1

    def __enter__(self) -> None:
        if not self.take():
            raise HTTPException(503, _BUSY, _RETRY)

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.give_back()


class Turn:
    """One request after another: Python computes one at a time anyway.

    Threads wait for the interpreter's lock before anything is known of their requests. So a turn begins with letting
    them have it: they are counted, and wait for their turn or are refused.
    """

    def __init__(self, turns: threading.Lock) -> None:
        self._turns = turns
        self._mine = False

    def begin(self) -> None:
        """Wait for it, but not for long."""
        self._mine = self._turns.acquire(timeout=_PATIENCE)
        select.select((), (), (), 0)  # lets go of the lock

    def end(self) -> None:
        """Let the next begin."""
        if self._mine:
            self._mine = False
            self._turns.release()


class Admission:
    """Lets in as many requests as are worked on at a time.

    One that needs no event loop is refused before anything else is done for it. One that does takes its slot when all
    of it has come.

    Args:
        app: The application.
        most: How many are worked on at a time.
        origins: Whose pages may read the refusal.
    """

    def __init__(self, app: ASGIApp, most: int, origins: Collection[str]) -> None:
        self._app = app
        self._slots = Slots(most)
        self._turns = threading.Lock()
        self._origins = {origin.encode() for origin in origins}
        body = json.dumps(problem(503, _BUSY)).encode()
        fields = {"Content-Type": "application/problem+json", "Content-Length": str(len(body)), **_RETRY}
        headers = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
        self._headers = [*headers, *SAFE.items(), (b"cache-control", b"no-store")]
        self._body = {"type": "http.response.body", "body": body}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if THREAD not in scope:
            await self._app({**scope, SLOTS: self._slots}, receive, send)
        elif not self._slots.take():
            await self._refuse(scope, send)
        else:
            turn = Turn(self._turns)
            try:
                turn.begin()
                await self._app({**scope, TURN: turn}, receive, send)
            finally:
                turn.end()
                self._slots.give_back()

    async def _refuse(self, scope: Scope, send: Send) -> None:
        note(scope, status=503, code="service_unavailable")
        headers = [*self._headers, (b"x-request-id", scope[RECORD]["request_id"].encode())]
        origin = next((value for name, value in scope["headers"] if name == b"origin"), None)
        if origin in self._origins:
            headers += [(b"access-control-allow-origin", origin), (b"vary", b"Origin"), _EXPOSED]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send(self._body)
