"""Every error as a problem document (RFC 9457) with a stable `code`."""

import asyncio
import inspect
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from connexion.exceptions import ProblemException
from connexion.lifecycle import ConnexionRequest, ConnexionResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response
from werkzeug.exceptions import HTTPException as WerkzeugHTTPException
from werkzeug.exceptions import InternalServerError, default_exceptions
from werkzeug.http import HTTP_STATUS_CODES as STATUS_PHRASES

from resource_server.serving.exchange import Answer, Exchange
from resource_server.serving.failures import own_traceback, places
from resource_server.serving.logs import of_request
from resource_server.serving.signatures import signature
from resource_server.serving.threads import Exit
from resource_server.tokens.errors import (
    InsufficientAuthentication,
    InsufficientClaims,
    InsufficientScope,
    InvalidToken,
    SecurityError,
)
from resource_server.tokens.statuses import code, title

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
        development: Whether refusals say where they are explained, and failures what has failed, and where.
        run: Runs a function that may block.
    """

    def __init__(self, run: Callable[..., Awaitable[Any]], *, development: bool) -> None:
        self._run = run
        self._development = development
        self._handlers: dict[type[Exception], Handler] = {}
        self._by_status: dict[int, Handler] = {}

    def add(self, code_or_exception: int | type[Exception], handler: Handler) -> None:
        """Have a function answer errors of a kind: of a class, or refusals with a status.

        Raises:
            TypeError: It can't be called with a request and an error.
        """
        try:
            signature(handler).bind(None, None)
        except TypeError as error:
            raise TypeError(f"{_name(handler)} is no error handler. {_KIND}") from error
        except ValueError:  # it doesn't say how it is called
            pass
        if isinstance(code_or_exception, int):
            self._by_status[code_or_exception] = handler
        else:
            self._handlers[code_or_exception] = handler

    async def answer(self, exchange: Exchange, error: Exception) -> Answer:
        """What is answered to a request that has ended in an error."""
        handler = self._handler(error)
        if handler is None:
            return self.problem(exchange, error)
        try:
            return await _answered(self._run, handler, exchange, error)
        except Exception as another:  # noqa: BLE001  # whatever the handler has raised
            return self.problem(exchange, another)

    def handled(self, exchange: Exchange, error: Exception) -> Answer | None:
        """What a handler of one's own answers to what Flask hasn't; for a thread, where it may block.

        None, if there is no such handler.
        """
        handler = self._handler(error)
        if handler is None:
            return None
        try:
            return asyncio.run(_answered(_at_once, handler, exchange, error))
        except Exception as another:  # noqa: BLE001  # whatever the handler has raised
            return self.problem(exchange, another)

    def _handler(self, error: Exception) -> Handler | None:
        """The handler for an error, the one for the nearest of its classes."""
        status = error.status_code if isinstance(error, HTTPException) else getattr(error, "code", None)
        is_refusal = isinstance(error, HTTPException | WerkzeugHTTPException)
        if is_refusal and status in self._by_status:
            return self._by_status[status]
        for each in type(error).__mro__:
            if each in self._handlers:
                return self._handlers[each]
            if each in (SecurityError, HTTPException, WerkzeugHTTPException):
                return None  # ours answer these, though somebody may have one for all exceptions
        return self._by_status.get(500)

    def problem(self, exchange: Exchange | None, error: Exception) -> Answer:
        """The problem document of an error, which is written into the record of its request."""
        headers: Mapping[str, str] | Sequence[tuple[str, str]] | None = None
        cause = None
        unhandled = isinstance(error, InternalServerError) and isinstance(error.original_exception, Exception)
        error = cause_of(error)
        if isinstance(error, SecurityError):
            refusal = getattr(error, "refusal", None)
            cause = refusal.name.lower() if refusal else None
            document, headers = error.problem, error.headers
            if self._development and isinstance(error, _EXPLAINED):
                document = document | {"detail": f"{error.description.removesuffix('.')}.{DOCTOR}"}
        elif isinstance(error, HTTPException):
            document, headers = _of_http(error, told=self._development and error.status_code == 500), error.headers
        elif isinstance(error, WerkzeugHTTPException) and not unhandled:
            document, headers = _of_flasks(error), error.get_headers()
        else:
            failure = error.__cause__ if isinstance(error, Exit) and error.__cause__ else error
            document, cause = problem(500), type(failure).__name__
            if self._development:
                document |= {"detail": f"{cause}: {failure}".removesuffix(": "), "traceback": list(places(failure))}
            told = type(failure), failure, own_traceback(failure)
            logger.error("A handler failed", exc_info=told, extra=of_request(exchange))
        if cause is None and document["status"] >= 500:
            logger.error("%s", document["detail"], extra=of_request(exchange))
        if exchange is not None:
            exchange.record.update(code=document.get("code"), cause=cause)
        return answer(document, headers)


async def _answered(
    run: Callable[..., Awaitable[Any]], handler: Handler, exchange: Exchange, error: Exception
) -> Answer:
    request = ConnexionRequest(exchange.scope)
    answered = handler(request, error) if _is_async(handler) else await run(handler, request, error)
    while inspect.isawaitable(answered):
        answered = await answered
    body = getattr(answered, "body", None)
    if not isinstance(answered, ConnexionResponse) or not isinstance(body, str | bytes | None):
        kind = type(answered).__name__ + ("" if body is None else f" with a body of {type(body).__name__}")
        expected = "a ConnexionResponse whose body is text or bytes"
        raise TypeError(f"The error handler {_name(handler)} returned a {kind}, and not {expected}")
    response = Response(body, answered.status_code, answered.headers, answered.mimetype)
    return Answer(response.status_code, response.raw_headers, bytes(response.body))


async def _at_once(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


_EXPLAINED = (InvalidToken, InsufficientScope, InsufficientClaims, InsufficientAuthentication)


_KIND = (
    "One takes a request and an error, like `def handle(request, error)`, and returns a ConnexionResponse, as "
    "`connexion.problem` does. Flask's kind, which takes the error alone, goes to `app.app.register_error_handler`."
)


def _name(function: Any) -> str:
    return getattr(function, "__qualname__", None) or repr(function)


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def _of_http(error: HTTPException, *, told: bool) -> dict[str, Any]:
    document = problem(error.status_code, error.detail, told=told)
    if isinstance(error, ProblemException):
        # A handler's own problem keeps its members; Connexion's have none but the detail.
        own = {"type": error.type, "instance": error.instance, **(error.ext or {})}
        own["title"] = error.title if error.type else None
        document |= {name: value for name, value in own.items() if value is not None}
    return document


def cause_of(error: Exception) -> Exception:
    """What Flask has made an InternalServerError of, or the error itself."""
    cause = error.original_exception if isinstance(error, InternalServerError) else None
    return cause if isinstance(cause, Exception) else error


def draws_itself(error: WerkzeugHTTPException) -> bool:
    """Whether an error of Flask's has an answer of its own, and not only words."""
    kind = type(error)
    base = WerkzeugHTTPException
    return (
        error.response is not None or kind.get_response is not base.get_response or kind.get_body is not base.get_body
    )


def _of_flasks(error: WerkzeugHTTPException) -> dict[str, Any]:
    """What is said is the detail, or if it is a dictionary members of the document, or if it is a list its errors."""
    said: Any = error.description
    document = problem(error.code or 500, said if isinstance(said, str) else None, told=True)
    if isinstance(said, Mapping):
        document |= {name: value for name, value in said.items() if name != "status"}
    elif isinstance(said, list | tuple):
        document["errors"] = said
    return document


def answer(document: Mapping[str, Any], headers: Mapping[str, str] | Sequence[tuple[str, str]] | None = None) -> Answer:
    """The answer that is a problem document."""
    body = json.dumps(document, default=str).encode()
    others = headers.items() if isinstance(headers, Mapping) else headers or ()
    fields = [(name.lower(), value) for name, value in others]
    fields = [each for each in fields if each[0] not in ("content-length", "content-type")]
    fields += [("content-length", str(len(body))), ("content-type", "application/problem+json")]
    return Answer(
        document["status"], [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields], body
    )


def problem(status: int, detail: str | None = None, *, told: bool = False) -> dict[str, Any]:
    """The problem document of an error that has only its status, and perhaps something to say.

    Args:
        status: Of the answer.
        detail: What there is to say, which of a failure is kept back.
        told: Whether a handler has said it, and not the router.
    """
    default = _FAILURE if status == 500 else title(status) if told else _DETAILS.get(status, title(status))
    return {
        "type": "about:blank",
        "title": title(status),
        "status": status,
        "detail": (_said(status, detail) if told or status != 500 else None) or default,
        "code": code(status),
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
