"""Routing that router, security layer and handler agree on.

Connexion routes each request twice: a Starlette router picks the operation that is authorized, then Flask's picks the
handler. Where the two read a path differently (`//api/private`), a handler would run that nobody authorized.
"""

from typing import Any

import flask
from connexion.apps.flask import FlaskOperation
from connexion.middleware.abstract import ROUTING_CONTEXT
from connexion.middleware.routing import RoutingMiddleware
from connexion.spec import Specification
from starlette.exceptions import HTTPException
from starlette.routing import Match, Mount, Route
from starlette.types import Receive, Scope, Send
from werkzeug.routing import RequestRedirect


class Routing(RoutingMiddleware):  # type: ignore[misc]  # Connexion's classes are not typed
    """Takes the place of Connexion's `RoutingMiddleware`: paths are exact, and `Allow` names all methods of a path."""

    def add_api(self, specification: Specification, **kwargs: Any) -> None:
        """Add the operations of a contract."""
        super().add_api(specification, **kwargs)
        self.router.redirect_slashes = False
        for route in self.router.routes:
            route.app.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # RFC 3986, section 2.2: an escaped slash is data, but routers see it as a separator.
        if b"%2f" in scope.get("raw_path", b"").lower():
            raise HTTPException(404)
        try:
            await super().__call__({**scope}, receive, send)  # the router changes the scope that it is given
        except HTTPException as error:
            # A handler's own 405 stays what it is. The router's names the methods of one operation only.
            if error.status_code != 405 or not (methods := self._methods(scope)) or scope["method"] in methods:
                raise
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(methods))}) from error

    def _methods(self, scope: Scope) -> set[str]:
        methods: set[str] = set()
        for mount in self.router.routes:
            match, child = mount.matches(scope)
            if isinstance(mount, Mount) and match is not Match.NONE:
                for route in mount.routes:
                    if isinstance(route, Route) and route.matches({**scope, **child})[0] is not Match.NONE:
                        methods |= route.methods or set()
        return methods


def require_agreement() -> None:
    """Refuse a request whose handler isn't that of the operation it was authorized for. Flask runs it before a view.

    Flask's redirects, to a path with other slashes, are refused as well: the contract knows one path only.
    """
    routed = flask.request.environ["asgi.scope"]["extensions"][ROUTING_CONTEXT]["operation_id"]
    view = flask.current_app.view_functions.get(flask.request.endpoint or "")
    mismatch = isinstance(view, FlaskOperation) and view.operation_id != routed
    if mismatch or isinstance(flask.request.routing_exception, RequestRedirect):
        flask.abort(404)
