"""Flask's routes beside the contract, of blueprints and extensions: none is open to everybody unless it is named so."""

import logging
from collections.abc import Collection, Iterator
from contextlib import suppress

from starlette.exceptions import HTTPException
from werkzeug.exceptions import HTTPException as WerkzeugHTTPException
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import MapAdapter, RequestRedirect, Rule

from resource_server.serving.authorization import Authorization
from resource_server.serving.exchange import Exchange
from resource_server.serving.flasks import Flask, environ
from resource_server.serving.routing import not_allowed

logger = logging.getLogger(__name__)


class Beside:
    """The routes that are no operation's.

    Args:
        app: Flask's application.
        authorization: What the contract requires of operations that don't say it; nothing, if everybody may call them.
        public: The endpoints that everybody may call, and blueprints all of whose endpoints they may.

    Raises:
        ValueError: A name is no endpoint's and no blueprint's.
    """

    def __init__(self, app: Flask, authorization: Authorization | None, public: Collection[str]) -> None:
        self._app = app
        self._authorization = authorization
        self._public = frozenset(public)
        self._rules = sorted(
            (rule for rule in app.url_map.iter_rules() if not rule.build_only), key=lambda rule: rule.rule
        )
        named = {name for rule in self._rules for name in _names(rule.endpoint)}
        if unknown := sorted(self._public - named):
            raise ValueError(
                f"make_public: no endpoint beside the contract and no blueprint is called {unknown[0]!r}. "
                f"There are {', '.join(sorted(named)) or 'none'}."
            )

    def paths(self) -> set[str]:
        """Their paths, as far as these have no parameters."""
        return {rule.rule for rule in self._rules if not rule.arguments}

    def callers(self, taken: Collection[str]) -> dict[str, str]:
        """Who may call which route; one whose path the contract has taken is never called, and logged."""
        found = {}
        for rule in self._rules:
            methods = sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}) or ["OPTIONS"]
            name = f"{', '.join(methods)} {rule.rule} ({rule.endpoint})"
            if rule.rule in taken:
                logger.warning("%s is never called: the contract has its path", name)
            else:
                open_ = self._authorization is None or self._is_public(rule)
                found[name] = "Everybody may call it." if open_ else "Needs what the contract's `security` says."
        return found

    def find(self, exchange: Exchange) -> Authorization | None:
        """What a request that is for no operation must show; nothing, if everybody may send it.

        Raises:
            HTTPException: No route is for it: with 404, or with 405 if only those of other methods have its path.
        """
        if not self._rules:
            raise HTTPException(404)
        made = self._app.request_class(environ(exchange))
        adapter = self._app.create_url_adapter(made)
        try:
            rule = _match(adapter, made.path)
        except MethodNotAllowed as error:
            raise not_allowed(set(error.valid_methods or ())) from error
        except NotFound as error:
            raise HTTPException(404) from error
        if rule is None:
            return self._authorization
        exchange.record["operation"] = rule.endpoint
        exchange.route = rule.rule
        # Flask itself answers OPTIONS: a preflight has no token, whoever answers it.
        automatic = exchange.scope["method"] == "OPTIONS" and getattr(rule, "provide_automatic_options", False)
        return None if automatic or self._is_public(rule) else self._authorization

    def _is_public(self, rule: Rule) -> bool:
        return not self._public.isdisjoint(_names(rule.endpoint))


def _match(adapter: MapAdapter, path: str) -> Rule | None:
    """The route of a request, or the one that it is redirected to, if that is only a slash away."""
    try:
        return adapter.match(return_rule=True)[0]
    except RequestRedirect:
        with suppress(WerkzeugHTTPException):
            return adapter.match(f"{path}/", return_rule=True)[0]
    return None


def _names(endpoint: str) -> Iterator[str]:
    """An endpoint's name, and those of the blueprints around it."""
    parts = endpoint.split(".")
    return (".".join(parts[: count + 1]) for count in range(len(parts)))
