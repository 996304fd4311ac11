"""Which operation a request is for: the one decision that authorization, validation and handler go by."""

import re
from typing import Any

from connexion.frameworks import starlette as starlette_utils
from connexion.middleware.abstract import ROUTING_CONTEXT
from connexion.middleware.routing import RoutingMiddleware
from connexion.spec import Specification
from starlette.convertors import register_url_convertor
from starlette.exceptions import HTTPException
from starlette.routing import Match, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from resource_server.serving.records import note

# Connexion's patterns let through what int() and float() refuse, which ends in a 500 before authorization.
_INTEGER = r"[+-]?[0-9]{1,400}"
_NUMBER = r"[+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})"


class Routing(RoutingMiddleware):  # type: ignore[misc]  # Connexion's classes are not typed
    """Takes the place of Connexion's `RoutingMiddleware`.

    Paths are exact, a concrete path comes before a templated one (OpenAPI 3.0, Paths Object), and `Allow` names all
    methods of a path. What the routers find for a path without parameters is remembered.
    """

    takes_place_of = RoutingMiddleware

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(self._remember)
        self._next = app
        self._found: dict[tuple[str, str], dict[str, str]] = {}
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
        if scope["type"] != "http":
            await self._next(scope, receive, send)
            return
        if not _is_plain(scope):
            raise HTTPException(404)
        scope = {**scope, "extensions": dict(scope.get("extensions") or {})}  # the routers change what they are given
        found = self._found.get((scope["method"], scope["path"])) if not scope.get("root_path") else None
        if found is not None:
            note(scope, operation=found["operation_id"])
            scope["path_params"] = {}
            scope["extensions"][ROUTING_CONTEXT] = dict(found)
            await self._next(scope, receive, send)
            return
        try:
            await super().__call__({**scope}, receive, send)
        except HTTPException as error:
            # A handler's own 405 stays what it is. The router's names the methods of one operation only.
            if error.status_code != 405 or not (methods := self._methods(scope)) or scope["method"] in methods:
                raise
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(methods))}) from error

    async def _remember(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = scope["extensions"][ROUTING_CONTEXT]
        note(scope, operation=found["operation_id"])
        if found["operation_id"] is not None and not scope["path_params"] and not scope.get("root_path"):
            self._found[scope["method"], scope["path"]] = found
        await self._next(scope, receive, send)

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
