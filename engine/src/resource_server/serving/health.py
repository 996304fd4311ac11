"""Whether the process lives, and whether it can serve: for whoever starts, stops and balances processes."""

import json
from collections.abc import Container

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from resource_server.tokens import Auth0JWTBearerTokenValidator

LIVE, READY = "/healthz", "/readyz"


class Health:
    """Answers `/healthz` and `/readyz`, unless the contract has these paths, and fetches the keys at the start.

    An API is ready while it holds usable keys of each issuer. One that holds them stays so while issuers fail.

    Args:
        app: The application.
        validator: Whose keys count.
        paths: Those of the contract.
    """

    def __init__(self, app: ASGIApp, validator: Auth0JWTBearerTokenValidator, paths: Container[str]) -> None:
        self._app = app
        self._validator = validator
        self._own = {path for path in (LIVE, READY) if path not in paths}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            self._validator.unready()  # begins to fetch
        if scope["type"] == "http" and scope["path"] in self._own:
            response = self._ready() if scope["path"] == READY else _answer(200, "alive")
            await response(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _ready(self) -> Response:
        unready = self._validator.unready()
        return _answer(503, f"No keys are held of {', '.join(unready)}.") if unready else _answer(200, "ready")


def _answer(status: int, text: str) -> Response:
    return Response(json.dumps({"status": text}), status, {"Cache-Control": "no-store"}, media_type="application/json")
