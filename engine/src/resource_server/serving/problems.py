"""Every error as a problem document (RFC 9457) with a stable `code`."""

import inspect
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from connexion.exceptions import ProblemException
from connexion.lifecycle import ConnexionRequest
from starlette.exceptions import HTTPException
from starlette.responses import Response
from werkzeug.exceptions import default_exceptions
from werkzeug.http import HTTP_STATUS_CODES as STATUS_PHRASES

from resource_server.serving.exchange import Answer, Exchange
from resource_server.serving.threads import Exit
from resource_server.tokens.errors import InsufficientAuthentication, InsufficientScope, InvalidToken, SecurityError

logger = logging.getLogger(__name__)

_DETAILS = {
    404: "No operation of this API has this path.",
    405: "No operation of this API has this path and method; Allow names the methods.",
}
"""What the router's errors say. A handler's own keep what it has said."""

_LONGEST = 500

_FAILURE = "The server failed to answer this request. The fault is not the request's."


DOCTOR = " `python -m api doctor` explains it."
"""In development, what the details of tokens that are refused end with."""

Handler = Callable[[ConnexionRequest, Any], Any]
"""Answers an error, with a `ConnexionResponse` or a coroutine that returns one."""


class Errors:
    """Answers every error with a problem document, unless a handler of one's own answers errors of its kind.

    Args:
        development: Whether refusals say where they are explained.
        run: Runs a function that may block.
    """

    def __init__(self, run: Callable[..., Awaitable[Any]], *, development: bool) -> None:
        self._run = run
        self._development = development
        self._handlers: dict[type[Exception], Handler] = {}
        self._by_status: dict[int, Handler] = {}

    def add(self, code_or_exception: int | type[Exception], handler: Handler) -> None:
        """Have a function answer errors of a kind: of a class, or refusals with a status."""
        if isinstance(code_or_exception, int):
            self._by_status[code_or_exception] = handler
        else:
            self._handlers[code_or_exception] = handler

    async def answer(self, exchange: Exchange, error: Exception) -> Answer:
        """What is answered to a request that has ended in an error."""
        handler = self._handler(error)
        if handler is None:
            return self._problem(exchange, error)
        request = ConnexionRequest(exchange.scope)
        try:
            answered = handler(request, error) if _is_async(handler) else await self._run(handler, request, error)
            while inspect.isawaitable(answered):
                answered = await answered
            response = Response(answered.body, answered.status_code, answered.headers, answered.mimetype)
        except Exception as another:  # noqa: BLE001  # whatever the handler has raised
            return self._problem(exchange, another)
        return Answer(response.status_code, response.raw_headers, bytes(response.body))

    def _handler(self, error: Exception) -> Handler | None:
        """The handler for an error, the one for the nearest of its classes."""
        if isinstance(error, HTTPException) and error.status_code in self._by_status:
            return self._by_status[error.status_code]
        for each in type(error).__mro__:
            if each in self._handlers:
                return self._handlers[each]
            if each in (SecurityError, HTTPException):
                return None  # ours answer these, though somebody may have one for all exceptions
        return None if isinstance(error, HTTPException) else self._by_status.get(500)

    def _problem(self, exchange: Exchange, error: Exception) -> Answer:
        record = exchange.record
        headers: Mapping[str, str] | None = None
        if isinstance(error, SecurityError):
            refusal = getattr(error, "refusal", None)
            record.update(code=error.error, cause=refusal.name.lower() if refusal else None)
            document, headers = error.problem, error.headers
            if self._development and isinstance(error, _EXPLAINED):
                document = document | {"detail": f"{error.description.removesuffix('.')}.{DOCTOR}"}
        elif isinstance(error, HTTPException):
            if error.status_code >= 500:
                logger.error("%s", error.detail)
            document, headers = _of_http(error), error.headers
            record["code"] = document["code"]
        else:
            document = problem(500)
            cause = error.__cause__ if isinstance(error, Exit) and error.__cause__ else error
            record.update(code=document["code"], cause=type(cause).__name__)
            logger.error("A handler failed", exc_info=cause)
        return answer(document, headers)


_EXPLAINED = (InvalidToken, InsufficientScope, InsufficientAuthentication)


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def _of_http(error: HTTPException) -> dict[str, Any]:
    document = problem(error.status_code, error.detail)
    if isinstance(error, ProblemException):
        # A handler's own problem keeps its members; Connexion's have none but the detail.
        own = {"type": error.type, "instance": error.instance, **(error.ext or {})}
        own["title"] = error.title if error.type else None
        document |= {name: value for name, value in own.items() if value is not None}
    return document


def answer(document: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Answer:
    """The answer that is a problem document."""
    response = Response(json.dumps(document), document["status"], headers, "application/problem+json")
    return Answer(response.status_code, response.raw_headers, bytes(response.body))


def problem(status: int, detail: str | None = None) -> dict[str, Any]:
    """The problem document of an error that has only its status, and perhaps something to say."""
    try:
        title, code = HTTPStatus(status).phrase, HTTPStatus(status).name.lower()
    except ValueError:
        title, code = "Error", f"http_{status}"
    return {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": _FAILURE if status == 500 else _said(status, detail) or _DETAILS.get(status) or title,
        "code": code,
    }


def _said(status: int, detail: str | None) -> str | None:
    """The first paragraph, in Connexion's the schema follows, cut where it repeats too much of the request.

    Nothing if it is only a framework's default.
    """
    werkzeug = default_exceptions.get(status)
    defaults = (werkzeug.description if werkzeug else None, STATUS_PHRASES.get(status))
    return None if detail in defaults else _cut((detail or "").partition("\n\n")[0])


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
