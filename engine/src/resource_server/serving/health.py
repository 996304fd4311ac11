"""Whether the process lives, and whether it can serve: for whoever starts, stops and balances processes."""

import json

from starlette.responses import Response

from resource_server.tokens import Auth0JWTBearerTokenValidator

LIVE, READY = "/healthz", "/readyz"


class Health:
    """What is answered at `/healthz` and `/readyz`, unless the contract has these paths.

    An API is ready while it holds usable keys of each issuer, and has room for requests. One that holds keys stays so
    while issuers fail.

    Args:
        validator: Whose keys count.
    """

    def __init__(self, validator: Auth0JWTBearerTokenValidator) -> None:
        self._validator = validator

    def begin(self) -> None:
        """Begin to fetch the keys."""
        self._validator.unready()

    def answer(self, path: str, *, stuck: bool) -> Response:
        """The answer at one of the two paths.

        Args:
            path: Which.
            stuck: Whether for long there has been no room for a request.
        """
        if stuck and path == READY:
            return _answer(503, "All requests that may be worked on take long.")
        unready = self._validator.unready() if path == READY else []
        if unready:
            return _answer(503, f"No keys are held of {', '.join(unready)}.")
        return _answer(200, "ready" if path == READY else "alive")


def _answer(status: int, text: str) -> Response:
    return Response(json.dumps({"status": text}), status, {"Cache-Control": "no-store"}, media_type="application/json")
