"""Connexion's stack of middlewares, once it is built."""

from collections.abc import Iterable
from typing import Any

from connexion.middleware.abstract import RoutedMiddleware
from connexion.middleware.context import ContextMiddleware
from connexion.middleware.lifespan import LifespanMiddleware
from connexion.middleware.response_validation import ResponseValidationMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from resource_server.serving.admission import Admission
from resource_server.serving.authorization import Authorization
from resource_server.serving.edge import Forwarded, SafeHeaders
from resource_server.serving.flaskapp import FlaskASGI
from resource_server.serving.health import Health
from resource_server.serving.limits import Limits
from resource_server.serving.problems import Errors
from resource_server.serving.records import Records
from resource_server.serving.resource import Metadata
from resource_server.serving.routing import Routing
from resource_server.serving.swagger import SwaggerUI
from resource_server.serving.validation import RequestValidation


def link(stack: Iterable[Any]) -> None:
    """Lead each operation of a middleware to its own in the next, which would be looked up on every request.

    Args:
        stack: The middlewares, outermost first, and the application.
    """
    following: dict[tuple[str, str], ASGIApp] = {}
    for middleware in reversed(list(stack)):
        if isinstance(middleware, LifespanMiddleware):
            continue  # passes requests on
        here: dict[tuple[str, str], ASGIApp] = {}
        for api in _apis(middleware):
            for name, operation in api.operations.items():
                key = api.base_path, name
                if operation is not middleware.app:
                    operation.next_app = following.get(key, operation.next_app)
                elif key in following:  # it has nothing to do for this one
                    api.operations[name] = following[key]
                here.setdefault(key, api.operations[name])
        following = here


def never_waits(stack: Iterable[Any]) -> bool:
    """Whether all middlewares are known to need no event loop, or to say so with `NeedsEventLoop`.

    One that is made only when it is asked for says of itself that it `never_waits`.

    Args:
        stack: The middlewares and the application.
    """
    return all(
        type(middleware) in _NEVER_WAIT or vars(type(middleware)).get("never_waits", False) for middleware in stack
    )


_NEVER_WAIT = {
    Admission,
    Authorization,
    CORSMiddleware,
    ContextMiddleware,
    Errors,
    FlaskASGI,
    Forwarded,
    Health,
    LifespanMiddleware,
    Limits,
    Metadata,
    Records,
    RequestValidation,
    ResponseValidationMiddleware,
    Routing,
    SafeHeaders,
    SwaggerUI,
}


def _apis(middleware: Any) -> list[Any]:
    if not isinstance(middleware, RoutedMiddleware):
        return []
    return [api for apis in middleware.apis.values() for api in apis]
