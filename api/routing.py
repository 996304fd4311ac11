"""Routing that router, security layer and handler agree on.

Connexion routes each request twice: a Starlette router picks the operation that is authorized, then Flask's picks the
handler. Where the two read a path differently (`//api/private`), a handler would run that nobody authorized.
"""

import re
from typing import Any

import flask
from connexion.apps.flask import FlaskOperation
from connexion.frameworks import flask as flask_utils
from connexion.frameworks import starlette as starlette_utils
from connexion.middleware.routing import RoutingMiddleware
from connexion.spec import Specification
from starlette.convertors import register_url_convertor
from starlette.exceptions import HTTPException
from starlette.routing import Match, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send
from werkzeug.routing import RequestRedirect

from api.authorization import AUTHORIZED

# Connexion's patterns let through what int() and float() refuse, which ends in a 500 before authorization.
_INTEGER = r"[+-]?[0-9]{1,400}"
_NUMBER = r"[+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})"


class Routing(RoutingMiddleware):  # type: ignore[misc]  # Connexion's classes are not typed
    """Takes the place of Connexion's `RoutingMiddleware`.

    Paths are exact, a concrete path comes before a templated one (OpenAPI 3.0, Paths Object), and `Allow` names all
    methods of a path.
    """

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app)
        for name, convertor, regex in (
            ("int", starlette_utils.IntegerConverter(), _INTEGER),
            ("float", starlette_utils.FloatConverter(), _NUMBER),
        ):
            convertor.regex = regex
            register_url_convertor(name, convertor)

    def add_api(self, specification: Specification, **kwargs: Any) -> None:
        """Add the operations of a contract."""
        super().add_api(specification, **kwargs)
        for mount in self.router.routes:
            mount.app.redirect_slashes = False
            mount.app.routes.sort(key=lambda route: _concreteness(route.path))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not _is_plain(scope):
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


def _concreteness(path: str) -> list[tuple[bool, bool, int]]:
    """Sorts concrete segments before templated ones, and of these the ones that say more first."""
    return [
        ("{" in segment, ":path}" in segment, -len(re.sub(r"\{[^}]*\}", "", segment))) for segment in path.split("/")
    ]


def _is_plain(scope: Scope) -> bool:
    """Whether every reader of the path sees the same segments: no escaped slash, no control character."""
    # RFC 3986, section 2.2: an escaped slash is data, but routers, which see the path decoded, take it for a separator.
    return b"%2f" not in scope.get("raw_path", b"").lower() and not _CONTROL.search(scope["path"])


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class _Integer(flask_utils.IntegerConverter):  # type: ignore[misc]
    regex = _INTEGER


class _Number(flask_utils.NumberConverter):  # type: ignore[misc]
    regex = _NUMBER


def route_exactly(app: flask.Flask) -> None:
    """Have Flask run the handler that a request was authorized for, or none."""
    app.url_map.merge_slashes = False
    app.url_map.converters.update(int=_Integer, float=_Number)
    app.before_request(_require_agreement)


def _require_agreement() -> None:
    authorized = flask.request.environ["asgi.scope"].get(AUTHORIZED)
    view = flask.current_app.view_functions.get(flask.request.endpoint or "")
    mismatch = isinstance(view, FlaskOperation) and view.operation_id != authorized
    # Flask would redirect to a path with other slashes; the contract knows one path only.
    if mismatch or isinstance(flask.request.routing_exception, RequestRedirect):
        flask.abort(404)
