"""Connexion's stack of middlewares, with what it does anew on every request done when it is built."""

from collections.abc import Iterable
from typing import Any

from connexion.middleware.abstract import RoutedMiddleware
from connexion.middleware.lifespan import LifespanMiddleware
from starlette.types import ASGIApp


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


def _apis(middleware: Any) -> list[Any]:
    if not isinstance(middleware, RoutedMiddleware):
        return []
    return [api for apis in middleware.apis.values() for api in apis]
