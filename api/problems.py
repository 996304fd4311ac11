"""Every error as a problem document (RFC 9457) with a stable `code`."""

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from connexion import FlaskApp
from connexion.exceptions import ProblemException
from connexion.lifecycle import ConnexionRequest, ConnexionResponse
from starlette.exceptions import HTTPException

from security.errors import SecurityError

logger = logging.getLogger(__name__)

_DETAILS = {
    HTTPStatus.NOT_FOUND: "No operation of this API has this path.",
    HTTPStatus.METHOD_NOT_ALLOWED: "No operation of this API has this path and method; Allow names the methods.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The server failed to answer this request. The fault is not the request's.",
}


def answer_with_problems(app: FlaskApp) -> None:
    """Have the application answer every error with a problem document."""
    app.add_error_handler(SecurityError, _security_error)
    app.add_error_handler(ProblemException, _http_error)
    app.add_error_handler(HTTPException, _http_error)
    app.add_error_handler(Exception, _failure)


# Coroutines, because Connexion runs plain functions in a thread.


async def _security_error(_: ConnexionRequest, error: SecurityError) -> ConnexionResponse:
    return _response(error.problem, error.headers)


async def _http_error(_: ConnexionRequest, error: HTTPException) -> ConnexionResponse:
    status = HTTPStatus(error.status_code)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("%s", error.detail)
    problem = _problem(status, error.detail)
    if isinstance(error, ProblemException):
        # A handler's own problem keeps its members; Connexion's have none but the detail.
        own = {"type": error.type, "instance": error.instance, **(error.ext or {})}
        own["title"] = error.title if error.type else None
        problem |= {name: value for name, value in own.items() if value is not None}
    return _response(problem, error.headers)


async def _failure(_: ConnexionRequest, error: Exception) -> ConnexionResponse:
    logger.error("A handler failed", exc_info=error)
    return _response(_problem(HTTPStatus.INTERNAL_SERVER_ERROR))


def _problem(status: HTTPStatus, detail: str | None = None) -> dict[str, Any]:
    # The first paragraph is for the caller; in Connexion's, the schema follows.
    said = (detail or "").partition("\n\n")[0]
    return {
        "type": "about:blank",
        "title": status.phrase,
        "status": status,
        "detail": _DETAILS.get(status) or said or status.description or status.phrase,
        "code": status.name.lower(),
    }


def _response(problem: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> ConnexionResponse:
    return ConnexionResponse(
        status_code=problem["status"],
        mimetype="application/problem+json",
        body=json.dumps(problem),
        headers=headers,
    )
