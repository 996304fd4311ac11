"""Every error as a problem document (RFC 9457) with a stable `code`."""

import asyncio
import inspect
import json
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from connexion import FlaskApp
from connexion.exceptions import ProblemException
from connexion.lifecycle import ConnexionRequest, ConnexionResponse
from connexion.middleware.exceptions import ExceptionMiddleware
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from werkzeug.exceptions import default_exceptions
from werkzeug.http import HTTP_STATUS_CODES as STATUS_PHRASES

from resource_server.serving.records import RECORD, note
from resource_server.serving.threads import THREAD
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


def answer_with_problems(app: FlaskApp, *, development: bool = False) -> None:
    """Have the application answer every error with a problem document.

    Args:
        app: The application.
        development: Whether refusals say where they are explained.
    """
    app.add_error_handler(SecurityError, _development_error if development else _security_error)
    app.add_error_handler(ProblemException, _http_error)
    app.add_error_handler(HTTPException, _http_error)
    app.add_error_handler(Exception, _failure)


class Errors(ExceptionMiddleware):  # type: ignore[misc]  # Connexion's classes are not typed
    """Answers errors: in threads, too, and at less cost while nothing fails. What fails in that gets a plain answer."""

    takes_place_of = ExceptionMiddleware

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(_raise_again)
        self._next = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._next(scope, receive, send)
        except Exception as error:
            if _has_begun(scope):
                raise
            try:
                await super().__call__({**scope, _ERROR: error}, receive, send)
            except Exception as another:
                if _has_begun(scope):
                    raise
                answer = await _failure(ConnexionRequest(scope), another)
                await Response(answer.body, 500, media_type=answer.mimetype)(scope, receive, send)

    def add_exception_handler(self, exc_class_or_status_code: Any, handler: Callable[..., Any]) -> None:
        """Have a function answer errors of a kind."""
        ours = handler in (_security_error, _development_error, _http_error, _failure)
        super().add_exception_handler(exc_class_or_status_code, handler if ours else _in_its_place(handler))


def _has_begun(scope: Scope) -> bool:
    """Whether something has been answered already, or nothing can be."""
    return scope["type"] != "http" or scope[RECORD]["status"] is not None


_ERROR = "api.error"


async def _raise_again(scope: Scope, _: Receive, __: Send) -> None:
    raise scope[_ERROR]


def _in_its_place(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Runs a coroutine function in the event loop, a plain function in a thread."""

    async def handle(request: ConnexionRequest, error: Exception) -> Any:
        loop = request.scope.get(THREAD)
        if inspect.iscoroutinefunction(handler):
            answer = handler(request, error)
            return asyncio.run_coroutine_threadsafe(answer, loop).result() if loop else await answer
        return handler(request, error) if loop else await run_in_threadpool(handler, request, error)

    return handle


# These never wait, so they run wherever a request does.


async def _security_error(request: ConnexionRequest, error: SecurityError) -> ConnexionResponse:
    refusal = getattr(error, "refusal", None)
    note(request.scope, code=error.error, cause=refusal.name.lower() if refusal else None)
    return _response(error.problem, error.headers)


async def _development_error(request: ConnexionRequest, error: SecurityError) -> ConnexionResponse:
    answer = await _security_error(request, error)
    if isinstance(error, InvalidToken | InsufficientScope | InsufficientAuthentication):
        detail = f"{error.description.removesuffix('.')}.{DOCTOR}"
        answer.body = json.dumps(error.problem | {"detail": detail})
    return answer


async def _http_error(request: ConnexionRequest, error: HTTPException) -> ConnexionResponse:
    if error.status_code >= 500:
        logger.error("%s", error.detail)
    document = problem(error.status_code, error.detail)
    if isinstance(error, ProblemException):
        # A handler's own problem keeps its members; Connexion's have none but the detail.
        own = {"type": error.type, "instance": error.instance, **(error.ext or {})}
        own["title"] = error.title if error.type else None
        document |= {name: value for name, value in own.items() if value is not None}
    note(request.scope, code=document["code"])
    return _response(document, error.headers)


async def _failure(request: ConnexionRequest, error: Exception) -> ConnexionResponse:
    note(request.scope, code=problem(500)["code"], cause=type(error).__name__)
    logger.error("A handler failed", exc_info=error)
    return _response(problem(500))


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


def _response(document: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> ConnexionResponse:
    return ConnexionResponse(
        status_code=document["status"],
        mimetype="application/problem+json",
        body=json.dumps(document),
        headers=headers,
    )
